"""Named sources and `load_dataset`: official files, class folders, digits, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from longtail.data import load_dataset, pictures_hash
from longtail.data.load import SOURCES
from longtail.data.sources import cifar
from longtail.data.sources.cifar import LAYOUTS, data_roots, load_cifar
from longtail.data.sources.digits import load_digits
from longtail.errors import DataError, UsageError

TEN = LAYOUTS[10]._replace(train_records=6, test_records=20)
HUNDRED = LAYOUTS[100]._replace(train_records=200, test_records=100)


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """An empty $LONGTAIL_DATA and an empty cache, small official layouts, and no network."""
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    monkeypatch.setenv("LONGTAIL_DATA", str(data))
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "decoded"))
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setitem(cifar.LAYOUTS, 10, TEN)
    monkeypatch.setitem(cifar.LAYOUTS, 100, HUNDRED)
    for name in ("CIFAR10", "CIFAR100"):
        monkeypatch.setattr(torchvision.datasets, name, unreachable)
    return data, home / ".cache" / "longtail"


def unreachable(root, *, train, download):
    raise OSError("no route to host")


def pictures(seed: int, number: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (number, 32, 32, 3), np.uint8)


def write_records(file: Path, labels: list[list[int]], images: np.ndarray) -> None:
    """The official record, byte by byte: labels, then the red, green and blue planes."""
    with file.open("wb") as stream:
        for row, image in zip(labels, images, strict=True):
            stream.write(bytes(row))
            for channel in range(3):
                stream.write(image[:, :, channel].tobytes())


def write_cifar10(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number in range(5):
        labels = [[(6 * number + i) % 10] for i in range(6)]
        write_records(folder / f"data_batch_{number + 1}.bin", labels, pictures(number, 6))
    write_records(folder / "test_batch.bin", [[i % 10] for i in range(20)], pictures(9, 20))
    (folder / "batches.meta.txt").write_text("".join(f"name{i}\n" for i in range(10)) + "\n")
    return folder


def write_cifar100(root: Path) -> Path:
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    # The coarse label comes first and must not be taken for the fine one.
    write_records(folder / "train.bin", [[i % 20, i % 100] for i in range(200)], pictures(1, 200))
    write_records(folder / "test.bin", [[7, i] for i in range(100)], pictures(2, 100))
    (folder / "fine_label_names.txt").write_text("".join(f"fine_{i}\n" for i in range(100)))
    return folder


def write_class_folders(folder: Path, num_classes: int) -> Path:
    for part, number in (("train", 3), ("test", 1)):
        for label in range(num_classes):
            target = folder / part / f"kind{label:03d}"
            target.mkdir(parents=True)
            for i, image in enumerate(pictures(label + len(part), number)):
                Image.fromarray(image).save(target / f"{i}.png")
    return folder


class FakeOfficial:
    """What torchvision hands over once it has its files."""

    def __init__(self, root, *, train, download):
        self.data = pictures(4, 20 if train else 10)
        self.targets = [i % 10 for i in range(len(self.data))]
        self.classes = [f"name{i}" for i in range(10)]


def test_binary_cifar10_comes_in_the_official_order(roots):
    write_cifar10(roots[0])
    dataset = load_cifar(10)
    assert dataset.train.labels.tolist() == [i % 10 for i in range(30)]
    assert np.array_equal(dataset.train.inputs, np.concatenate([pictures(i, 6) for i in range(5)]))
    assert np.array_equal(dataset.test.inputs, pictures(9, 20))
    assert dataset.train.inputs.flags.c_contiguous
    assert dataset.class_names == tuple(f"name{i}" for i in range(10))
    assert (dataset.name, dataset.kind) == ("cifar10", "photo")
    assert dataset.normalisation == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert "binary" in dataset.source


def test_binary_cifar100_has_its_fine_labels(roots):
    write_cifar100(roots[0])
    dataset = load_cifar(100)
    assert dataset.train.labels.tolist() == [i % 100 for i in range(200)]
    assert np.array_equal(dataset.train.inputs, pictures(1, 200))
    assert dataset.test.labels.tolist() == list(range(100))
    assert dataset.class_names[99] == "fine_99"


def test_the_folder_itself_may_be_named(roots, monkeypatch):
    monkeypatch.setenv("LONGTAIL_DATA", str(write_cifar10(roots[0])))
    assert len(load_cifar(10).train) == 30
    assert len(load_cifar(10, write_cifar10(roots[1])).train) == 30


def test_the_cache_is_read_where_the_chosen_folder_has_nothing(roots):
    write_cifar10(roots[1])
    assert data_roots() == list(roots)
    assert len(load_cifar(10).train) == 30


def test_without_a_chosen_folder_only_the_cache_is_read(roots, monkeypatch):
    monkeypatch.delenv("LONGTAIL_DATA")
    assert data_roots() == [roots[1]]


def test_a_truncated_file_is_named_with_both_sizes(roots):
    file = write_cifar10(roots[0]) / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_3.bin has 18,437 bytes instead of 18,438"):
        load_cifar(10)


@pytest.mark.parametrize("name", ["data_batch_2.bin", "test_batch.bin", "batches.meta.txt"])
def test_a_missing_file_is_named(roots, name):
    (write_cifar10(roots[0]) / name).unlink()
    with pytest.raises(DataError, match=f"cifar-10-batches-bin has no {name}"):
        load_cifar(10)


def test_a_label_byte_outside_the_classes_is_refused(roots):
    file = write_cifar10(roots[0]) / "test_batch.bin"
    file.write_bytes(b"\x0b" + file.read_bytes()[1:])
    with pytest.raises(DataError, match=r"\(test\): 1 labels are outside 0..9 \(row 0: 11\)"):
        load_cifar(10)


def test_class_folders_and_their_zip_are_told_from_the_official_order(roots, tmp_path):
    folder = write_class_folders(roots[0] / "cifar10", 10)
    dataset = load_cifar(10)
    assert dataset.train.labels.tolist() == [i // 3 for i in range(30)]
    assert np.array_equal(dataset.train.inputs[3:6], pictures(1 + 5, 3))
    assert dataset.name == "cifar10"
    assert dataset.source == "CIFAR-10, class folders"
    assert "not the official one" in dataset.notes[-1]
    assert dataset.normalisation == cifar.NORMALISATION
    zipped = zip_of(folder, tmp_path / "elsewhere" / "cifar10.zip")
    again = load_cifar(10, zipped)
    assert again.source == "CIFAR-10, a .zip of class folders"
    assert pictures_hash(again.train.inputs) == pictures_hash(dataset.train.inputs)


def zip_of(folder: Path, target: Path) -> Path:
    import shutil

    target.parent.mkdir()
    return Path(shutil.make_archive(str(target.with_suffix("")), "zip", folder))


def test_folders_of_another_number_of_classes_are_refused(roots):
    write_class_folders(roots[0] / "cifar100", 3)
    with pytest.raises(DataError, match="cifar100 has 3 classes; CIFAR-100 has 100"):
        load_cifar(100)


def test_official_files_win_over_class_folders(roots):
    write_class_folders(roots[0] / "cifar10", 10)
    write_cifar10(roots[0])
    assert "binary" in load_cifar(10).source


def test_torchvisions_folder_is_read_by_torchvision(roots, monkeypatch):
    (roots[0] / "cifar-10-batches-py").mkdir()
    asked = []

    def official(root, *, train, download):
        asked.append((Path(root), download))
        return FakeOfficial(root, train=train, download=download)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", official)
    dataset = load_cifar(10)
    assert asked == [(roots[0], False)] * 2
    assert np.array_equal(dataset.train.inputs, pictures(4, 20))
    assert len(dataset.test) == 10


def test_a_damaged_torchvision_folder_is_not_downloaded_over(roots):
    (roots[0] / "cifar-10-batches-py").mkdir()
    with pytest.raises(DataError, match=r"cifar-10-batches-py cannot be read by torchvision"):
        load_cifar(10)


def test_what_is_nowhere_is_downloaded_into_the_cache(roots, monkeypatch):
    asked = []

    def official(root, *, train, download):
        asked.append((Path(root), download))
        return FakeOfficial(root, train=train, download=download)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", official)
    assert len(load_cifar(10).train) == 20
    assert asked == [(roots[1], True)] * 2


def test_without_data_or_network_the_error_says_where_and_what_to_put(roots):
    with pytest.raises(DataError, match="no route to host") as caught:
        load_cifar(100)
    message = str(caught.value)
    for part in (*map(str, roots), "cifar-100-binary", "cifar-100-python", "cifar100.zip"):
        assert part in message


def test_digits_are_split_the_same_way_every_time():
    dataset = load_digits()
    assert dataset.train.inputs.dtype == np.uint8
    assert dataset.input_shape == (8, 8, 3)
    assert dataset.train.inputs.max() == 255
    assert np.bincount(dataset.test.labels).tolist() == [60] * 10
    both = np.concatenate([dataset.train.index, dataset.test.index])
    assert sorted(both.tolist()) == list(range(1797))
    assert np.array_equal(load_digits().test.index, dataset.test.index)
    assert dataset.kind == "digits"


def test_grey_levels_of_the_digits_span_the_byte():
    from sklearn.datasets import load_digits as bundled

    dataset, images = load_digits(), bundled().images
    levels = {0: 0, 8: 128, 15: 239, 16: 255}
    for value, byte in levels.items():
        where = images[dataset.train.index] == value
        assert np.all(dataset.train.inputs[where] == byte)


def test_names_carry_their_cut_and_an_option_overrides_it():
    dataset = load_dataset("digits-lt")
    assert dataset.name == "digits-lt-if20"
    assert dataset.counts[-1] == 6
    assert dataset.data_hash == pictures_hash(dataset.train.inputs)
    assert load_dataset("digits-lt", imbalance=10).name == "digits-lt-if10"
    assert load_dataset("digits", imbalance=10).name == "digits-lt-if10"
    assert SOURCES["cifar10-lt"].imbalance == SOURCES["cifar100-lt"].imbalance == 100


def test_uncut_data_have_a_hash_and_a_hold_out_leaves_it():
    whole = load_dataset("digits")
    assert whole.name == "digits"
    assert whole.discarded is None
    assert whole.data_hash == pictures_hash(whole.train.inputs)
    held = load_dataset("digits", holdout="0.1")
    assert held.data_hash == whole.data_hash
    assert len(held.train) + len(held.holdout) == len(whole.train)


def test_discarded_pictures_serve_as_hold_out_through_one_call():
    dataset = load_dataset("digits-lt", holdout="discarded:5")
    assert np.bincount(dataset.holdout.labels).tolist() == [5] * 10


def test_a_folder_is_read_by_its_path_and_cut_on_request(roots, tmp_path):
    folder = write_class_folders(tmp_path / "mine", 4)
    assert load_dataset(str(folder), image_size=32).counts.tolist() == [3] * 4
    assert load_dataset(str(folder), imbalance=3, image_size=32).counts.tolist() == [3, 2, 1, 1]


def test_an_unknown_name_gets_the_nearest_and_hears_that_no_such_path_exists():
    with pytest.raises(UsageError, match=r"no such file or folder. Did you mean 'cifar10-lt'"):
        load_dataset("cifar10_lt")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text("1,2\n")
    with pytest.raises(UsageError, match=r"table.csv is no data longtail can read"):
        load_dataset(str(tmp_path / "table.csv"))


def test_an_image_size_that_would_be_ignored_is_refused():
    with pytest.raises(UsageError, match=r"--image-size 64: digits has inputs of 8x8x3"):
        load_dataset("digits", image_size=64)
    assert load_dataset("digits", image_size=8).input_shape == (8, 8, 3)


def test_one_class_cannot_be_trained_on(tmp_path):
    file = tmp_path / "one.npz"
    np.savez(file, train_inputs=np.ones((3, 2)), train_labels=[0, 0, 0])
    with pytest.raises(DataError, match="3 training samples in 1 classes"):
        load_dataset(str(file))


def real_root(*names: str) -> Path:
    """The first place where the real data are, or skip."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    chosen = os.environ.get("LONGTAIL_DATA")
    places = [Path(chosen)] if chosen else []
    for place in (*places, Path.home() / ".cache" / "longtail", beside):
        if any((place / name).exists() for name in names):
            return place
    pytest.skip(f"none of {', '.join(names)} on this machine")


@pytest.mark.real
def test_the_cut_of_the_real_cifar10_is_the_draw_of_ldam_drw():
    folder = real_root("cifar-10-batches-bin") / "cifar-10-batches-bin"
    rows = [np.fromfile(folder / f"data_batch_{i}.bin", np.uint8) for i in range(1, 6)]
    records = np.concatenate(rows).reshape(-1, 3073)
    rng, drawn = np.random.RandomState(0), []
    for label, size in enumerate([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]):
        of_class = np.where(records[:, 0] == label)[0]
        rng.shuffle(of_class)
        drawn.append(of_class[:size])
    chosen = np.concatenate(drawn)
    from longtail.data.cut import cut

    dataset = cut(load_cifar(10, folder.parent), 100)
    assert np.array_equal(dataset.train.index, chosen)
    planes = records[chosen, 1:].reshape(-1, 3, 32, 32)
    assert np.array_equal(dataset.train.inputs.transpose(0, 3, 1, 2), planes)
    assert dataset.class_names[0] == "airplane"
    assert len(dataset.test) == 10_000
    assert dataset.data_hash.startswith("dced38519074")


@pytest.mark.real
@pytest.mark.slow
def test_the_real_cifar100_is_cut_to_its_published_size():
    root = real_root("cifar-100-binary", "cifar-100-python", "cifar100", "cifar100.zip")
    from longtail.data.cut import cut

    dataset = cut(load_cifar(100, root), 100)
    assert len(dataset.train) == 10_847
    assert dataset.class_names[:2] == ("apple", "aquarium_fish")
    assert np.bincount(dataset.test.labels).tolist() == [100] * 100

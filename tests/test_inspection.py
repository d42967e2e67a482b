"""What `longtail data inspect` finds, on data made for it and on the real CIFAR-100."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.data.dataset import Dataset, Split, split_of
from longtail.data.sources.folder import file_names, load_folder
from longtail.errors import DataError
from longtail.inspection.summary import Sample, inspect, look_at_files, render


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)


def dataset(train: Split, test: Split | None = None, holdout: Split | None = None) -> Dataset:
    every = [split.labels for split in (train, test, holdout) if split is not None]
    names = tuple(f"c{i}" for i in range(int(np.concatenate(every).max()) + 1))
    return Dataset("toy", "memory", "photo", names, train, test, holdout, notes=("A note.",))


def test_counts_groups_and_imbalance_are_those_of_train() -> None:
    labels = np.repeat([0, 1, 2, 3], [3, 120, 30, 6])
    found = inspect(dataset(split_of(noise(159), labels), split_of(noise(2, 1), [0, 3])))
    assert found.counts == {"train": (3, 120, 30, 6), "test": (1, 0, 0, 1)}
    assert found.imbalance_ratio == 40
    assert found.groups == {"many": 1, "medium": 1, "few": 2}
    assert found.smallest == (("c0", 3), ("c3", 6), ("c2", 30), ("c1", 120))
    assert found.input_shape == (4, 4, 3)
    assert found.notes == ("A note.",)
    assert found.duplicates == ()


def copies() -> Dataset:
    """Train 0 = 2 (labels differ), test 1 = 2, train 3 = test 0, train 1 = holdout 7."""
    train, test, holdout = noise(5), noise(3, 1), noise(1, 2)
    train[2], test[2], test[0], holdout[0] = train[0], test[1], train[3], train[1]
    kept = Split(holdout, np.array([1]), np.array([7]))
    return dataset(split_of(train, [0, 1, 1, 1, 0]), split_of(test, [1, 0, 0]), kept)


def test_equal_pictures_are_grouped_by_where_they_lie() -> None:
    found = inspect(copies())
    one, other = Sample("train", 0, 0), Sample("train", 2, 1)
    assert found.duplicates_within("train") == ((one, other),)
    assert found.duplicates_within("test") == ((Sample("test", 1, 0), Sample("test", 2, 0)),)
    assert found.duplicates_within("holdout") == ()
    assert found.duplicates_across == (
        (Sample("train", 1, 1), Sample("holdout", 7, 1)),
        (Sample("train", 3, 1), Sample("test", 0, 1)),
    )
    assert found.conflicting == ((one, other),)
    assert len(found.duplicates) == 4


def test_a_picture_in_train_twice_and_in_test_once_is_one_group_across() -> None:
    pixels = noise(3)
    pixels[1] = pixels[0]
    found = inspect(dataset(split_of(pixels, [0, 0, 1]), split_of(pixels[:1], [0])))
    assert [len(group) for group in found.duplicates_across] == [3]
    assert found.duplicates_within("train") == ()


def test_pictures_of_a_single_colour_are_found_and_almost_single_ones_are_not() -> None:
    pixels = noise(4)
    pixels[1] = (10, 20, 30)
    pixels[2] = (10, 20, 30)
    pixels[2, 3, 3, 2] = 31
    found = inspect(dataset(split_of(pixels, [0, 0, 1, 1])))
    assert found.constant == (Sample("train", 1, 0),)


def test_vectors_have_copies_but_no_colour() -> None:
    rows = np.zeros((3, 5), np.float32)
    rows[1, 2] = 1
    data = dataset(split_of(rows, [0, 1, 1]))
    found = inspect(data)
    assert len(found.duplicates) == 1
    assert found.constant == ()
    assert "3 train, each 5" in render(found)[0]


def bars(lines: list[str]) -> list[str]:
    return [line for line in lines if set(line) & set("▏▎▍▌▋▊▉█")]


def test_bars_are_in_proportion_largest_first_and_never_empty_for_a_class_with_samples() -> None:
    labels = np.repeat([0, 1, 2], [1, 400, 200])
    lines = bars(render(inspect(dataset(split_of(noise(601), labels)))))
    assert [line.split()[0] for line in lines] == ["c1", "c2", "c0"]
    assert [line.count("█") for line in lines] == [30, 15, 0]
    assert lines[2].split() == ["c0", "▏", "1"]


@pytest.mark.parametrize(("classes", "rows"), [(20, 20), (21, 20), (300, 20)])
def test_of_many_classes_the_two_ends_are_shown(classes: int, rows: int) -> None:
    labels = np.repeat(np.arange(classes), np.arange(classes, 0, -1))
    pixels = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 1, 1, 4)[..., :3]
    lines = render(inspect(dataset(split_of(pixels, labels))))
    shown = bars(lines)
    assert len(shown) == rows
    assert shown[0].startswith("c0 ")
    assert shown[-1].startswith(f"c{classes - 1} ")
    between = [line for line in lines if "between" in line]
    assert [line.split()[1] for line in between] == ([] if classes == 20 else [str(classes - 20)])


def test_the_text_names_copies_by_file_where_files_are_known() -> None:
    found = inspect(copies())
    plain = "\n".join(render(found))
    assert "4 (1 within train, 0 within holdout, 1 within test, 2 across" in plain
    assert "with different labels: 1" in plain
    assert "  train 3 (c1) = test 0 (c1)" in plain
    assert "A note." in plain
    named = "\n".join(render(found, {"train": {3: "a/x.png"}, "test": {0: "b/y.png"}}))
    assert "  a/x.png = b/y.png" in named
    assert "train 1 (c1) = holdout 7 (c1)" in named


def test_a_folder_name_cannot_command_the_terminal() -> None:
    data = dataset(split_of(noise(2), [0, 1]))
    evil = Dataset("\x1b[2Jx", "", "photo", ("a\nb", "\x1b]0;c"), data.train)
    lines = render(inspect(evil))
    assert all(letter.isprintable() for line in lines for letter in line)
    assert lines[0].startswith("?[2Jx:")


def png(color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_unreadable_files_are_all_listed_with_their_reasons(tmp_path: Path) -> None:
    good = {f"a/{i}.png": png((i, 0, 0)) for i in range(3)}
    bad = {"a/empty.png": b"", "b/page.jpg": b"<html>", "loose.gif": b"GIF89a", "b/x.txt": b""}
    found = dict(look_at_files(write(tmp_path / "d", good | bad)).unreadable)
    assert sorted(found) == ["a/empty.png", "b/page.jpg", "loose.gif"]
    assert found["a/empty.png"] == "the file is empty"
    assert found["b/page.jpg"].startswith("it is not a JPEG")
    with pytest.raises(DataError):
        look_at_files(tmp_path / "nowhere")


def test_a_file_without_permission_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "d", {"a/0.png": png((1, 2, 3))})

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert look_at_files(root).unreadable == [("a/0.png", "Permission denied")]


def test_the_file_of_a_sample_is_found_by_its_index(tmp_path: Path) -> None:
    files = {f"{c}/{i:02}.png": png((i, 0, ord(c))) for c in "ab" for i in range(12)}
    root = write(tmp_path / "d", files)
    data, names = load_folder(root), file_names(root)
    for split, part in {"train": data.train, "test": data.test}.items():
        assert len(names[split]) == len(part)
        for row, index in zip(np.asarray(part.inputs), part.index.tolist(), strict=True):
            number, letter = row[0, 0, 0], chr(row[0, 0, 2])
            assert names[split][index] == f"{letter}/{number:02}.png"


def real_cifar100() -> Path:
    folders = [os.environ.get("LONGTAIL_DATA", ""), Path.home() / ".cache" / "longtail"]
    folders.append(Path(__file__).resolve().parents[2] / "shared" / "data")
    found = [Path(f) / "cifar100.zip" for f in folders if f and (Path(f) / "cifar100.zip").exists()]
    if not found:
        pytest.skip("cifar100.zip is not here")
    return found[0]


@pytest.mark.real
@pytest.mark.slow
def test_cifar100_has_26_groups_of_copies_and_10_of_them_span_train_and_test() -> None:
    data = load_folder(real_cifar100())
    assert data.input_shape == (32, 32, 3)
    assert data.counts.tolist() == [500] * 100
    found = inspect(data)
    assert (len(found.duplicates), len(found.duplicates_across)) == (26, 10)
    assert found.counts["test"] == (100,) * 100

"""Class folders and .zip files: layouts, splits, class order, the cache, and what goes wrong."""

import concurrent.futures
import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.data import cache as cache_module
from longtail.data.cache import cache_root, cached_array
from longtail.data.dataset import Dataset, Split
from longtail.data.hashing import pictures_hash
from longtail.data.layout import share_for_test, sort_classes
from longtail.data.sources.folder import load_folder
from longtail.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(value: int, side: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (value % 256, value // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def files_of(**classes: int) -> dict[str, bytes]:
    """train/cat=3 gives train/cat/00.png to 02.png; every picture has a colour of its own."""
    names = [f"{folder}/{i:02}.png" for folder, count in classes.items() for i in range(count)]
    return {name: png(value) for value, name in enumerate(names)}


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


WRITERS = {"folder": lambda at, files: write_folder(at / "pets", files)} | {
    "zip": lambda at, files: write_zip(at / "pets.zip", files)
}
both_containers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def values(split: Split | None) -> list[int]:
    """Which picture each row is, read back from its colour."""
    assert split is not None
    pixels = np.asarray(split.inputs)[:, 0, 0].astype(int)
    return (pixels[:, 0] + 256 * pixels[:, 1]).tolist()


def load(path: Path, **options: int) -> Dataset:
    return load_folder(path, **options)


DIVIDED = files_of(
    **{"train/dog": 4, "train/cat": 2, "test/cat": 1, "test/dog": 1, "val/cat": 1, "val/dog": 2}
)


@both_containers
@pytest.mark.parametrize("top", ["", "pets-1.0/"])
def test_train_val_and_test_folders_become_the_splits(write, top: str, tmp_path: Path) -> None:
    data = load(write(tmp_path, {top + name: content for name, content in DIVIDED.items()}))
    assert (data.name, data.source, data.kind) == ("pets", "class folders", "photo")
    assert data.class_names == ("cat", "dog")
    assert values(data.train) == [4, 5, 0, 1, 2, 3]
    assert values(data.test) == [6, 7]
    assert values(data.holdout) == [8, 9, 10]
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert data.holdout.labels.tolist() == [0, 1, 1]
    assert data.train.index.tolist() == list(range(6))
    assert data.input_shape == (16, 16, 3)
    assert data.train.inputs.dtype == np.uint8
    assert data.train.labels.dtype == np.int64


def test_the_container_does_not_change_the_data(tmp_path: Path) -> None:
    hashes = {load(write(tmp_path, DIVIDED)).data_hash for write in WRITERS.values()}
    assert len(hashes) == 1
    data = load(tmp_path / "pets.zip")
    assert hashes == {pictures_hash(np.array(data.train.inputs))}


def test_valid_is_another_word_for_val(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", files_of(**{"train/a": 1, "train/b": 1, "valid/a": 1}))
    assert values(load(root).holdout) == [2]


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing"), ("TRAIN", "test")])
def test_split_folders_are_recognised_as_people_write_them(names: tuple, tmp_path: Path) -> None:
    train, test = names
    files = files_of(**{f"{train}/a": 2, f"{train}/b": 2, f"{test}/a": 1, f"{test}/b": 1})
    data = load(write_folder(tmp_path / "d", files))
    assert data.class_names == ("a", "b")
    assert values(data.test) == [4, 5]


def test_train_without_test_has_no_test_and_says_so(tmp_path: Path) -> None:
    data = load(write_folder(tmp_path / "d", files_of(**{"train/a": 3, "train/b": 3})))
    assert data.test is None
    assert len(data.train) == 6
    assert any("no test folder" in note for note in data.notes)


@both_containers
def test_flat_folders_are_split_by_class(write, tmp_path: Path) -> None:
    data = load(write(tmp_path, files_of(ten=10, two=2, nine=9, one=1, fifty=50)))
    assert data.class_names == ("fifty", "nine", "one", "ten", "two")
    assert data.counts.tolist() == [40, 8, 1, 8, 1]
    assert np.bincount(data.test.labels, minlength=5).tolist() == [10, 1, 0, 2, 1]
    together = sorted([*data.train.index.tolist(), *data.test.index.tolist()])
    assert together == list(range(72))
    assert sorted(values(data.train) + values(data.test)) == list(range(72))
    assert any("'one' is too small to be tested" in note for note in data.notes)


def test_the_split_is_the_same_in_every_place_and_not_the_first_files(tmp_path: Path) -> None:
    files = files_of(a=40, b=40)
    first = load(write_folder(tmp_path / "one", files))
    second = load(write_zip(tmp_path / "two.zip", {f"top/{k}": files[k] for k in reversed(files)}))
    assert values(first.test) == values(second.test)
    assert values(first.train) == values(second.train)
    chosen = values(first.test)[:8]
    assert chosen not in ([*range(8)], [*range(32, 40)])


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 10_000))
def test_test_gets_a_fifth_but_never_more_than_half(count: int) -> None:
    held = share_for_test(count)
    assert 2 * held <= count
    assert held >= (1 if count >= 2 else 0)
    if count >= 10:
        assert abs(held - count / 5) < 1


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "9", "0", "2"], ("0", "2", "9", "10")),
        (["07", "7", "8"], ("07", "7", "8")),
        (["b10", "b9", "a"], ("a", "b10", "b9")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["b", "B", "a"], ("B", "a", "b")),
    ],
)
def test_class_names_are_sorted_and_numbers_by_value(names: list[str], ordered: tuple) -> None:
    assert sort_classes(names) == ordered
    assert sort_classes(reversed(names)) == ordered


def test_a_class_called_train_is_a_class_among_vehicles(tmp_path: Path) -> None:
    data = load(write_folder(tmp_path / "d", files_of(car=5, bus=5, train=5)))
    assert data.class_names == ("bus", "car", "train")
    assert len(data.test) == 3


def test_pictures_below_a_class_folder_belong_to_it(tmp_path: Path) -> None:
    files = files_of(**{"train/a/images": 3, "train/b/2019/may": 2, "train/b": 1, "test/a": 1})
    data = load(write_folder(tmp_path / "d", files))
    assert data.class_names == ("a", "b")
    assert data.counts.tolist() == [3, 3]


@both_containers
def test_what_is_no_picture_is_ignored_and_counted(write, tmp_path: Path) -> None:
    extra = {
        "README": b"x",
        "train/classes.tsv": b"x",
        "train/a/notes.TXT": b"x",
        "train/loose.png": png(99),
        "elsewhere/a/x.png": png(99),
        ".git/a/x.png": png(99),
        "train/a/._00.png": b"x",
        "train/.DS_Store": b"x",
        "__MACOSX/train/a/00.png": b"x",
    }
    data = load(write(tmp_path, DIVIDED | {"train/a/SHOUT.PNG": png(50)} | extra))
    assert data.class_names == ("a", "cat", "dog")
    assert data.counts.tolist() == [1, 2, 4]
    assert "Ignored files that are no pictures: 3 (no ending, .tsv, .txt)." in data.notes
    assert "Ignored pictures outside the class folders: 2." in data.notes


def test_a_class_without_test_pictures_is_noted(tmp_path: Path) -> None:
    files = files_of(**{"train/a": 2, "train/b": 2, "test/a": 1})
    data = load(write_folder(tmp_path / "d", files))
    assert "Class 'b' has no test picture, so nothing is known about it." in data.notes


@both_containers
def test_a_class_that_is_only_tested_cannot_be_learned(write, tmp_path: Path) -> None:
    path = write(tmp_path, files_of(**{"train/a": 2, "train/b": 2, "test/a": 1, "val/new": 1}))
    with pytest.raises(DataError, match="Class 'new' cannot be learned"):
        load(path)


def test_a_folder_empty_in_every_split_is_no_class(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", DIVIDED)
    (root / "train" / "ghost").mkdir()
    (root / "test" / "ghost").mkdir()
    data = load(root)
    assert data.class_names == ("cat", "dog")
    assert "Class 'ghost' has no picture anywhere and is no class." in data.notes


def test_an_empty_train_folder_of_a_tested_class_is_an_error(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", DIVIDED | files_of(**{"test/ghost": 1}))
    (root / "train" / "ghost").mkdir()
    with pytest.raises(DataError, match="'ghost' cannot be learned"):
        load(root)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (files_of(cat=5), "single class, 'cat'"),
        (files_of(**{"train/cat": 5, "test/cat": 1}), "single class, 'cat'"),
        ({}, "no pictures in class folders"),
        ({"a.png": png(1), "b.png": png(2)}, "no pictures in class folders"),
        ({"cat/a.txt": b"x"}, "no pictures in class folders"),
        (files_of(**{"test/a": 2, "test/b": 2, "val/a": 1}), "no train folder"),
    ],
)
@both_containers
def test_a_wrong_layout_is_explained(write, files: dict, message: str, tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    with pytest.raises(DataError, match=message) as caught:
        load(write(tmp_path, files))
    assert "train/CLASS/*.jpg" in str(caught.value)


def test_a_path_that_is_no_folder_or_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder or file at"):
        load(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match="neither a folder nor a readable"):
        load(tmp_path / "a.zip")


BAD = {"train/cat/bad.jpg": b"<html>", "test/dog/void.png": b"", "val/dog/cut.png": png(1)[:40]}


@both_containers
def test_unreadable_pictures_are_counted_and_named(write, tmp_path: Path, cache: Path) -> None:
    path = write(tmp_path, DIVIDED | BAD)
    with pytest.raises(DataError, match="3 of 14 pictures cannot be read") as caught:
        load(path)
    message = str(caught.value)
    assert all(name in message for name in BAD)
    assert f"`longtail data inspect {path}`" in message
    assert list(cache.iterdir()) == []


def test_of_many_unreadable_pictures_five_are_named(tmp_path: Path) -> None:
    files = {f"cat/{i}.jpg": b"" for i in range(9)} | files_of(cat=2, dog=2)
    with pytest.raises(DataError, match=r"9 of 13 .*; and 4 more") as caught:
        load(write_folder(tmp_path / "d", files))
    assert len(re.findall(r"\d\.jpg", str(caught.value))) == 5


def test_a_member_with_a_wrong_checksum_is_unreadable(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "d.zip", DIVIDED)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"1 of 11 .*Bad CRC-32"):
        load(path)


@both_containers
def test_a_file_of_too_many_bytes_is_not_unpacked(write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("longtail.data.tree.MAX_FILE_BYTES", 5_000)
    path = write(tmp_path, DIVIDED | {"train/cat/big.png": bytes(5_001)})
    with pytest.raises(DataError, match=r"1 of 12 .*5,001 bytes; the limit is 5,000"):
        load(path)


def test_a_folder_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", files_of(a=3))
    broken = os.path.join(os.fsencode(root), b"caf\xe9")
    try:
        os.mkdir(broken)
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    shutil.copy(root / "a" / "00.png", os.path.join(broken, b"0.png"))
    with pytest.raises(DataError, match=r"'caf\\udce9' is not UTF-8; rename it"):
        load(root)


def test_links_out_of_the_folder_and_to_folders_are_not_followed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", DIVIDED)
    secret = write_folder(tmp_path / "other", files_of(secret=1)) / "secret"
    (root / "train" / "cat" / "out.png").symlink_to(secret / "00.png")
    (root / "train" / "stolen").symlink_to(secret, target_is_directory=True)
    (root / "train" / "cat" / "loop").symlink_to(root, target_is_directory=True)
    (root / "train" / "cat" / "gone.png").symlink_to(root / "missing.png")
    (root / "train" / "cat" / "zz.png").symlink_to(root / "train" / "cat" / "00.png")
    data = load(root)
    assert data.class_names == ("cat", "dog")
    assert values(data.train) == [4, 5, 4, 0, 1, 2, 3]
    assert any("not followed: 4." in note for note in data.notes)


def test_a_linked_root_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    write_folder(tmp_path / "d", DIVIDED)
    (tmp_path / "link").symlink_to(tmp_path / "d", target_is_directory=True)
    assert len(load(tmp_path / "link").train) == 6


@pytest.mark.parametrize(
    ("sides", "chosen"), [([8], 16), ([29, 29, 33], 32), ([27], 24), ([500], 64), ([40, 41], 40)]
)
def test_the_default_size_is_the_rounded_median_shorter_side(
    sides: list[int], chosen: int, tmp_path: Path
) -> None:
    files = {f"{c}/{i}.png": png(1, side) for i, side in enumerate(sides) for c in "ab"}
    files = {f"train/{name}": data for name, data in files.items()} | {"test/a/x.png": png(1, 999)}
    data = load(write_folder(tmp_path / "d", files))
    assert data.input_shape == (chosen, chosen, 3)
    assert any(f"{chosen} x {chosen} pixels" in note for note in data.notes)


def test_an_image_size_overrides_the_default(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", DIVIDED)
    assert load(root, image_size=8).input_shape == (8, 8, 3)
    assert load(root, image_size=100).input_shape == (100, 100, 3)
    for size in (0, -1, 5000):
        with pytest.raises(UsageError, match="image_size"):
            load(root, image_size=size)


def base_map(array: np.ndarray) -> np.memmap:
    assert isinstance(array, np.memmap)
    return array


def test_every_split_is_a_read_only_slice_of_one_map(tmp_path: Path, cache: Path) -> None:
    for files in (DIVIDED, files_of(a=20, b=20)):
        data = load(write_folder(tmp_path / str(len(files)), files))
        for split in filter(None, (data.train, data.test, data.holdout)):
            assert base_map(split.inputs).filename.parent == cache
            assert not split.inputs.flags.writeable
    assert len(list(cache.iterdir())) == 2


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from longtail.data.sources import folder

    decoded: list[str] = []
    real = folder.decode_quietly

    def watched(data: bytes, size: int, *, name: str) -> np.ndarray:
        decoded.append(name)
        return real(data, size, name=name)

    monkeypatch.setattr(folder, "decode_quietly", watched)
    return decoded


@both_containers
def test_pictures_are_decoded_once(write, tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path, DIVIDED)
    decoded = count_decodes(monkeypatch)
    first, second = load(path), load(path)
    assert sorted(decoded) == sorted(DIVIDED)
    assert values(first.train) == values(second.train)


@both_containers
def test_a_changed_picture_or_size_is_decoded_again(write, tmp_path: Path) -> None:
    path = write(tmp_path, DIVIDED)
    assert values(load(path).test) == [6, 7]
    write(tmp_path, DIVIDED | {"test/cat/00.png": png(200)})
    assert values(load(path).test) == [200, 7]
    write(tmp_path, DIVIDED)
    assert load(path, image_size=24).input_shape == (24, 24, 3)


def damage_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def damage_grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"xx")


def damage_flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"'shape': (", b"'shape': [", 1))


def damage_pickle(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_replace(path: Path) -> None:
    np.save(path, np.zeros((2, 16, 16, 3), np.uint8))


@pytest.mark.parametrize(
    "damage",
    [
        damage_cut,
        damage_grow,
        damage_flip,
        damage_header,
        damage_pickle,
        damage_empty,
        damage_replace,
    ],
)
def test_a_damaged_cache_file_is_rebuilt(damage, tmp_path: Path, cache: Path) -> None:
    root = write_folder(tmp_path / "d", DIVIDED)
    load(root)
    (path,) = cache.iterdir()
    sound = path.read_bytes()
    damage(path)
    data = load(root)
    assert values(data.train) == [4, 5, 0, 1, 2, 3]
    assert path.read_bytes() == sound
    assert not any("memory" in note for note in data.notes)


def test_a_cache_that_cannot_be_written_falls_back_to_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "file" / "below"))
    data = load(write_folder(tmp_path / "d", DIVIDED))
    assert values(data.train) == [4, 5, 0, 1, 2, 3]
    assert any("kept in memory" in note and "LONGTAIL_CACHE" in note for note in data.notes)


def test_a_full_disk_falls_back_to_memory_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "_write", full)
    rows = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    found, note = cached_array("f", rows.shape, lambda: iter(rows))
    np.testing.assert_array_equal(found, rows)
    assert "No space left on device" in note
    assert list(cache.iterdir()) == []


def test_the_cache_is_an_ordinary_npy_file(cache: Path) -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    found, note = cached_array("abc", rows.shape, lambda: iter(rows))
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal(np.load(cache / "abc.npy"), rows)
    assert note == ""


def test_a_sound_cache_file_of_another_shape_is_rebuilt(cache: Path) -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    cached_array("abc", rows.shape, lambda: iter(rows))
    found, note = cached_array("abc", (2, 2, 2), lambda: iter(rows[:2]))
    np.testing.assert_array_equal(found, rows[:2])
    assert note == ""


def test_an_interrupted_build_leaves_nothing(cache: Path) -> None:
    def rows() -> Iterator[np.ndarray]:
        yield np.zeros(2, np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_array("abc", (2, 2), rows)
    assert list(cache.iterdir()) == []


def build_same(_: int) -> int:
    rows = (np.full((64, 64, 3), i % 256, np.uint8) for i in range(300))
    found, note = cached_array("shared", (300, 64, 64, 3), lambda: rows)
    assert note == ""
    return int(found.sum(dtype=np.int64))


def test_several_builders_of_one_file_do_not_disturb_each_other(cache: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sums = set(pool.map(build_same, range(8)))
    assert sums == {sum(i % 256 for i in range(300)) * 64 * 64 * 3}
    assert [path.name for path in cache.iterdir()] == ["shared.npy"]


def test_the_cache_folder_is_the_variable_or_below_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("LONGTAIL_CACHE")
    assert cache_root() == Path.home() / ".cache" / "longtail" / "decoded"


def test_a_progress_bar_is_drawn_only_for_many_pictures_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from longtail.data.sources import folder

    monkeypatch.setattr(folder, "MANY_PICTURES", 3)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    root = write_folder(tmp_path / "d", DIVIDED)
    load(root)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    load(root, image_size=20)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Decoding pictures" in err

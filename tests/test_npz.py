"""A user's arrays, and archives and folders written by the cut."""

import dataclasses
import zipfile

import numpy as np
import pytest
from PIL import Image

from longtail.data import Dataset, load_dataset, pictures_hash
from longtail.data.archive import write_archive, write_folders
from longtail.data.dataset import split_of
from longtail.data.sources.folder import load_folder
from longtail.data.sources.npz import load_npz
from longtail.errors import DataError, UsageError

RNG = np.random.RandomState(0)
PICTURES = RNG.randint(0, 256, (10, 6, 5, 3), np.uint8)
VECTORS = RNG.normal(3, 2, (10, 4))
LABELS = np.arange(10) % 2


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return tmp_path / "mine.npz"

    return write


def test_pictures_and_labels_come_back_as_given(save):
    path = save(train_inputs=PICTURES, train_labels=LABELS.astype(np.int8))
    dataset = load_npz(path)
    assert np.array_equal(dataset.train.inputs, PICTURES)
    assert dataset.train.labels.dtype == np.int64
    assert (dataset.name, dataset.kind, dataset.class_names) == ("mine", "photo", ("0", "1"))
    assert dataset.test is None
    assert str(path.parent) not in dataset.source


def test_grey_pictures_get_three_equal_channels(save):
    dataset = load_npz(save(train_inputs=PICTURES[..., 0], train_labels=LABELS))
    assert dataset.train.inputs.shape == (10, 6, 5, 3)
    assert np.all(dataset.train.inputs == PICTURES[..., :1])
    assert "Grey" in dataset.notes[0]


def test_all_three_parts_are_read_and_the_hold_out_is_used(save):
    path = save(
        train_inputs=PICTURES[:6],
        train_labels=LABELS[:6],
        test_inputs=PICTURES[6:8],
        test_labels=LABELS[6:8],
        holdout_inputs=PICTURES[8:],
        holdout_labels=LABELS[8:],
    )
    dataset = load_dataset(str(path))
    assert np.array_equal(dataset.test.inputs, PICTURES[6:8])
    assert np.array_equal(dataset.holdout.inputs, PICTURES[8:])


def test_vectors_are_handed_on_in_single_precision(save):
    dataset = load_npz(save(train_inputs=VECTORS, train_labels=LABELS))
    assert dataset.kind == "vector"
    assert dataset.train.inputs.dtype == np.float32
    assert np.array_equal(dataset.train.inputs, VECTORS.astype(np.float32))


def test_string_labels_become_class_names(save):
    words = np.array(["owl", "cat"])[LABELS]
    dataset = load_npz(save(train_inputs=VECTORS, train_labels=words))
    assert dataset.class_names == ("cat", "owl")
    assert dataset.train.labels.tolist() == (1 - LABELS).tolist()


def test_class_names_set_the_order_of_string_labels_and_name_integers(save):
    names, words = np.array(["owl", "cat", "eel"]), np.array(["owl", "cat"])[LABELS]
    by_word = load_npz(save(train_inputs=VECTORS, train_labels=words, class_names=names))
    by_number = load_npz(save(train_inputs=VECTORS, train_labels=LABELS, class_names=names))
    for dataset in (by_word, by_number):
        assert dataset.class_names == ("owl", "cat", "eel")
        assert dataset.train.labels.tolist() == LABELS.tolist()


def test_arrays_without_a_test_set_give_a_fixed_fifth_of_each_class(save):
    labels = np.repeat([0, 1, 2], [20, 10, 2])
    path = save(inputs=np.arange(64.0).reshape(32, 2), labels=labels)
    dataset = load_npz(path)
    assert np.bincount(dataset.test.labels).tolist() == [4, 2]
    assert dataset.counts.tolist() == [16, 8, 2]
    both = np.concatenate([dataset.train.index, dataset.test.index])
    assert sorted(both.tolist()) == list(range(32))
    assert "Too small to be tested: 1 class (2)" in dataset.notes[0]
    assert np.array_equal(load_npz(path).test.index, dataset.test.index)


BAD = {
    "float pictures": (
        {"train_inputs": PICTURES / 255},
        r"\[10, 6, 5, 3\] float64; expected uint8",
    ),
    "four channels": (
        {"train_inputs": np.zeros((10, 2, 2, 4), np.uint8)},
        r"\[10, 2, 2, 4\] uint8",
    ),
    "integer vectors": ({"train_inputs": np.zeros((10, 2), int)}, r"\[10, 2\] int64; expected"),
    "one row": ({"train_inputs": np.zeros(10)}, r"train_inputs is \[10\] float64"),
    "no samples": ({"train_inputs": np.zeros((0, 3))}, r"train_inputs is \[0, 3\]"),
    "words": ({"train_inputs": np.array([["a"]] * 10)}, r"train_inputs is \[10, 1\] <U1"),
    "nan": ({"train_inputs": np.where(np.eye(10), np.nan, 1)}, r"10 rows \(first: 0, 1, 2, 3, 4\)"),
    "overflow": ({"train_inputs": np.full((10, 1), 1e39)}, "not finite in 10 rows"),
    "fewer labels": ({"train_labels": LABELS[:9]}, "has 9 rows, but there are 10 inputs"),
    "float labels": ({"train_labels": LABELS * 1.0}, "train_labels: labels have shape .* float64"),
    "negative label": ({"train_labels": LABELS - 1}, "row 0: -1"),
    "wild label": ({"train_labels": LABELS * 10**9}, "the highest label is 1000000000"),
    "table labels": ({"train_labels": LABELS[:, None]}, r"labels have shape \(10, 1\)"),
    "strange word": (
        {"train_labels": np.array(["a", "b"] * 5), "class_names": np.array(["a", "c"])},
        "has b, not among class_names",
    ),
    "a name twice": ({"class_names": np.array(["a", "a"])}, "class_names is .* each once"),
    "typing error": ({"test_input": PICTURES}, r"test_input is unknown"),
    "half a part": ({"test_inputs": VECTORS}, r"test_labels is missing"),
    "both forms": ({"inputs": VECTORS, "labels": LABELS}, "labels alone"),
    "another width": (
        {"test_inputs": VECTORS[:, :2], "test_labels": LABELS},
        r"differ in shape: train_inputs \[4\], test_inputs \[2\]",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_named_with_its_shape_and_type(save, case):
    arrays, message = BAD[case]
    with pytest.raises(DataError, match=message):
        load_npz(save(**{"train_inputs": VECTORS, "train_labels": LABELS, **arrays}))


def test_a_file_without_train_says_what_is_expected(save):
    with pytest.raises(DataError, match=r"x \[2\] int64.*Expected train_inputs, train_labels"):
        load_npz(save(x=np.arange(2)))
    with pytest.raises(DataError, match="Expected train_inputs"):
        load_npz(save(test_inputs=VECTORS, test_labels=LABELS))


def test_objects_are_refused_unread(save):
    with pytest.raises(DataError, match="arrays of Python objects are refused"):
        load_npz(save(train_inputs=np.array([{}, []], object), train_labels=[0, 1]))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"bad.npz cannot be read as a .npz"):
        load_npz(tmp_path / "bad.npz")


def test_a_lone_npy_is_refused(tmp_path):
    with (tmp_path / "lone.npz").open("wb") as file:
        np.save(file, VECTORS)
    with pytest.raises(DataError, match=r"lone.npz cannot be read"):
        load_npz(tmp_path / "lone.npz")


def toy(kind: str) -> Dataset:
    """Ten samples in another order than their index, a test set, and a hash."""
    inputs = VECTORS.astype(np.float32) if kind == "vector" else PICTURES
    train = split_of(inputs, LABELS).take(np.arange(10)[::-1])
    test = split_of(inputs[:3], LABELS[:3])
    return Dataset(
        "toy-lt-if2", "a test", kind, ("owl", "ant"), train, test,
        data_hash=pictures_hash(inputs), normalisation=((0.5,) * 3, (0.25,) * 3), notes=("cut",),
    )  # fmt: skip


def assert_same(read: Dataset, written: Dataset) -> None:
    for part in ("train", "test", "holdout"):
        a, b = getattr(read, part), getattr(written, part)
        assert (a is None) == (b is None)
        for field in ("inputs", "labels", "index") if a is not None else ():
            left, right = getattr(a, field), getattr(b, field)
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)
    for field in ("name", "source", "kind", "class_names", "data_hash", "normalisation", "notes"):
        assert getattr(read, field) == getattr(written, field)


@pytest.mark.parametrize("kind", ["photo", "digits", "vector"])
@pytest.mark.parametrize("parts", [("train",), ("train", "test"), ("train", "test", "holdout")])
def test_an_archive_is_read_back_bit_for_bit(tmp_path, kind, parts):
    written = toy(kind)
    written = dataclasses.replace(
        written,
        test=written.test if "test" in parts else None,
        holdout=written.test if "holdout" in parts else None,
    )
    write_archive(written, tmp_path / "new" / "a.npz")
    assert_same(load_npz(tmp_path / "new" / "a.npz"), written)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.npz"]


def test_extreme_pictures_survive_webp(tmp_path):
    flat = np.stack([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)])
    written = dataclasses.replace(
        toy("photo"), train=split_of(flat, [0, 1]), test=None, data_hash=pictures_hash(flat)
    )
    write_archive(written, tmp_path / "a.npz")
    assert_same(load_npz(tmp_path / "a.npz"), written)


def rewritten(path, **changes):
    with np.load(path) as file:
        arrays = dict(file) | changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data_hash": np.array("0" * 64)}, "not those its hash names"),
        ({"train_labels": None}, "train"),
        ({"train_index": np.arange(3)}, "train has 10 inputs"),
        ({"train_offsets": np.arange(11)}, "cannot identify|WEBP|image"),
        ({"train_offsets": np.arange(4)}, "10 pictures have 4 offsets"),
        ({"kind": np.array("sound")}, "kind 'sound' is unknown"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path, changes, reason):
    path = tmp_path / "a.npz"
    write_archive(toy("photo"), path)
    rewritten(path, **changes)
    with pytest.raises(DataError, match=r"a.npz is a damaged longtail archive") as caught:
        load_npz(path)
    assert caught.match(reason)


@pytest.mark.parametrize("format_number", [np.array(2), np.array("x"), np.arange(3)])
def test_an_archive_of_another_format_is_refused(tmp_path, format_number):
    write_archive(toy("photo"), tmp_path / "a.npz")
    rewritten(tmp_path / "a.npz", longtail_archive=format_number)
    with pytest.raises(DataError, match="this version reads format 1"):
        load_npz(tmp_path / "a.npz")


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.npz"
    write_archive(toy("vector"), path)
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("train_inputs.npy").header_offset + 200
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.npz cannot be read"):
        load_npz(path)


def test_a_failed_write_leaves_the_old_archive_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_archive(toy("vector"), path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        write_archive(toy("photo"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_after_a_hold_out_no_archive_is_written(tmp_path):
    held = load_dataset("digits-lt", holdout="0.1")
    with pytest.raises(UsageError, match="before a hold-out"):
        write_archive(held, tmp_path / "a.npz")
    with pytest.raises(UsageError, match=r"type --out NAME.npz"):
        write_archive(held, tmp_path / "a.zip")


def test_a_cut_written_and_loaded_by_path_is_the_same_data(tmp_path):
    cut = load_dataset("digits-lt")
    write_archive(cut, tmp_path / "a.npz")
    assert_same(load_dataset(str(tmp_path / "a.npz")), cut)


def test_folders_hold_the_pictures_under_class_and_index(tmp_path, monkeypatch):
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "decoded"))
    write_folders(toy("photo"), tmp_path / "out")
    with Image.open(tmp_path / "out" / "train" / "ant" / "7.png") as image:
        assert np.array_equal(np.asarray(image), PICTURES[7])
    assert len(list((tmp_path / "out" / "test").glob("*/*.png"))) == 3
    square = dataclasses.replace(toy("photo"), train=split_of(PICTURES[:, :5], LABELS), test=None)
    write_folders(square, tmp_path / "square")
    read = load_folder(tmp_path / "square" / "train", image_size=5)
    everything = np.concatenate([read.train.inputs, read.test.inputs])
    assert pictures_hash(everything) == pictures_hash(PICTURES[:, :5])


def test_folders_are_not_written_over_or_outside(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="out exists"):
        write_folders(toy("photo"), tmp_path / "out")
    with pytest.raises(UsageError, match="holds vectors"):
        write_folders(toy("vector"), tmp_path / "new")
    for name in ("..", "", "a/b", "..\\b", ".hidden"):
        named = dataclasses.replace(toy("photo"), class_names=("owl", name))
        with pytest.raises(UsageError, match="cannot name a folder"):
            write_folders(named, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_write_of_folders_leaves_nothing(tmp_path, monkeypatch):
    def full(self, file):
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_folders(toy("photo"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

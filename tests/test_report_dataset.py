"""The page of a dataset: what it says is what is there, whatever the names in it are."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from longtail.cli.data import app
from longtail.data.dataset import Dataset, Split, split_of
from longtail.data.load import load_dataset
from longtail.errors import DataError, UsageError
from longtail.inspection.facts import MOST_GROUPS, facts_of
from longtail.inspection.near_duplicates import (
    NearDuplicates,
    NearPair,
    comparable,
    near_duplicates,
)
from longtail.inspection.oddities import constant_columns, odd_samples, odd_sizes
from longtail.inspection.summary import Sample, inspect
from longtail.report.dataset import dataset_page, unreadable_page
from longtail.report.page import page as page_of
from longtail.report.write import write_page
from report_page import Page
from report_runs import HOSTILE


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))


def noise(count: int, seed: int = 0, side: int = 32) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.kron(small, np.ones((1, side // 8, side // 8, 1), np.uint8))


def dataset(*parts: Split | None, names: tuple[str, ...] = ("a", "b", "c"), **kinds) -> Dataset:
    return Dataset("toy", "memory", "photo", names, *parts, **kinds)


def facts(data: Dataset, **given):
    near = given.pop("near", near_duplicates(data, inspect(data).duplicates))
    return facts_of(data, inspect(data), near, **({"names": {}, "sizes": {}} | given))


def test_counts_groups_and_rarest_classes_are_those_of_the_data() -> None:
    labels = np.repeat([0, 1, 2], [130, 40, 3])
    found = facts(dataset(split_of(noise(173), labels), split_of(noise(6, 1), [0, 0, 1, 1, 2, 2])))
    assert dict(found.counts) == {"train": (130, 40, 3), "test": (2, 2, 2)}
    assert [(members[0].label, len(members)) for members in found.rarest] == [
        (2, 3),
        (1, 8),
        (0, 8),
    ]
    page = Page(dataset_page(found))
    assert "train samples 173" in page.text
    assert "imbalance 43.33 largest class 130, smallest 3" in page.text
    assert "many 1 classes of more than 100" in page.text
    assert "identical samples 0 groups, 0 across splits" in page.text
    assert "No two samples are identical." in page.text
    assert page.tables["classes-table"][1] == ["a", "many", "130", "2", "75.1"]


def test_every_thumbnail_is_the_sample_it_stands_for() -> None:
    """Index and position differ in a hold-out: the picture must follow the index."""
    pictures = noise(12)
    train = Split(pictures[:9], np.repeat([0, 1, 2], 3), np.array([11, 3, 7, 0, 1, 2, 4, 5, 6]))
    kept = Split(pictures[9:], np.array([0, 1, 2]), np.array([10, 8, 9]))
    data = dataset(train, None, kept)
    found = facts(data, near=None)
    where = {"train": train, "holdout": kept}
    for shown in (one for members in found.rarest for one in members):
        split = where[shown.split]
        position = split.index.tolist().index(int(shown.place))
        assert np.array_equal(found.pictures[shown.picture], split.inputs[position])
        assert split.labels[position] == shown.label


def copies() -> Dataset:
    """Train 0 = test 1 with another label, train 1 = train 2."""
    train, test = noise(5), noise(3, 1)
    test[1], train[2] = train[0], train[1]
    return dataset(split_of(train, [0, 1, 1, 2, 0]), split_of(test, [0, 1, 2]))


def test_identical_samples_are_counted_as_the_inspection_counts_them() -> None:
    found = facts(copies()).identical
    assert (found.total, dict(found.within), found.across) == (2, {"train": 1, "test": 0}, 1)
    assert (found.conflicting, dict(found.seen)) == (1, {"test": 1})
    assert [[shown.place for shown in group.members] for group in found.groups] == [
        ["0", "1"],
        ["1", "2"],
    ]
    page = Page(dataset_page(facts(copies())))
    assert "2 groups of samples that are equal value by value: 1 within train," in page.text
    assert "1 test sample has an identical one in train" in page.text
    assert "train 0: a" in page.text


def test_a_sample_is_seen_in_train_by_a_pair_of_its_own_only() -> None:
    one, two, three = Sample("train", 0, 0), Sample("test", 0, 0), Sample("test", 1, 1)
    near = NearDuplicates((NearPair(one, two, 2, 0.97), NearPair(two, three, 6, 0.9)), False)
    data = dataset(split_of(noise(3), [0, 1, 2]), split_of(noise(2, 1), [0, 1]))
    found = facts(data, near=near).near
    assert found is not None
    assert (found.total, found.across, dict(found.seen)) == (1, 1, {"test": 1})
    (group,) = found.groups
    assert (group.bits, group.likeness, group.size, group.conflicting) == (2, 0.97, 3, True)
    page = Page(dataset_page(facts(data, near=near)))
    assert "only the 100,000 closest pairs were compared" in page.text
    assert near.summary().startswith("Groups of near-duplicates: 1 (1 across splits); test samples")


def test_of_very_many_groups_some_are_listed_and_all_are_counted() -> None:
    pictures = np.repeat(noise(MOST_GROUPS + 30), 2, axis=0)
    labels = np.arange(len(pictures)) // 2 % 3
    labels[-1] = (labels[-1] + 1) % 3
    found = facts(dataset(split_of(pictures, labels)), near=None)
    assert found.identical.total == MOST_GROUPS + 30
    assert len(found.identical.groups) == MOST_GROUPS
    assert found.identical.groups[0].conflicting, "what matters most is first, wherever it lies"
    page = dataset_page(found)
    assert "200 of 230 groups are listed" in Page(page).text
    assert len(page) < 5_000_000


def test_hostile_names_are_text() -> None:
    labels = np.arange(40) % len(HOSTILE)
    train, test = noise(40), noise(20, 1)
    test[0], test[1] = train[0], 0
    data = dataset(split_of(train, labels), split_of(test, labels[:20]), names=HOSTILE)
    data = Dataset(**{**vars(data), "name": HOSTILE[0], "source": HOSTILE[1], "notes": HOSTILE[:3]})
    names = {"train": {i: f"{HOSTILE[i % 5]}/{i}.png" for i in range(40)}}
    sizes = {name: (300, 10) for name in names["train"].values()}
    html = dataset_page(facts(data, names=names, sizes=sizes))
    page = Page(html)
    assert len([tag for tag, _ in page.found if tag == "script"]) == 1
    assert not [tag for tag, _ in page.found if tag == "img"]
    assert not [name for _, attributes in page.found for name in attributes if name[:2] == "on"]
    assert HOSTILE[0] in page.text
    assert "\x1b" not in html
    assert "{{ 7 * 7 }}" in page.text
    assert "(no name)" in page.column("classes-table", "class")


def test_vectors_have_outliers_and_no_pictures() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 5)).astype(np.float32)
    rows[:, 3] = 2.5
    rows[7, 1] = 90
    test = rng.normal(size=(30, 5)).astype(np.float32)
    test[4, 2] = -200
    test[:, 3] = 2.5
    labels = np.arange(300) % 3
    data = Dataset("v", "v.npz", "vector", ("a", "b", "c"), split_of(rows, labels))
    data = Dataset(**{**vars(data), "test": split_of(test, labels[:30])})
    assert [(o.sample.split, o.sample.index) for o in odd_samples(data)] == [
        ("test", 4),
        ("train", 7),
    ]
    assert constant_columns(data) == (3,)
    assert not comparable(data)
    found = facts_of(data, inspect(data), None, names={}, sizes={})
    assert found.pictures is None
    page = Page(dataset_page(found))
    assert "1 column with one value in all of train, which teach nothing: 3." in page.text
    assert "train 7: b column 1 is" in page.text
    assert "Near-duplicates" not in page.text
    assert "The rarest classes" not in page.text


def test_odd_pictures_are_the_empty_the_dark_and_the_bright_ones() -> None:
    pictures = noise(8)
    pictures[1] = 90
    pictures[2] = 90 + (np.arange(32) % 2)[:, None]
    pictures[3] //= 20
    pictures[4] = 255 - pictures[4] // 20
    pictures[5] = pictures[5] // 16 + 100
    odd = {one.sample.index: one.why for one in odd_samples(dataset(split_of(pictures, [0] * 8)))}
    assert sorted(odd) == [1, 2, 3, 4, 5]
    assert all(odd[i].startswith("hardly any contrast: deviation") for i in (1, 2, 5))
    assert next(iter(odd)) == 1, "the oddest first"


def test_odd_shapes_and_sizes_of_files() -> None:
    sizes = {"a": (320, 100), "b": (300, 100), "c": (15, 40), "d": (16, 16), "e": (64, 64)}
    assert odd_sizes(sizes, 32) == [
        ("a", "320 x 100 pixels: the central square keeps 31 % of it"),
        ("c", "15 x 40 pixels, enlarged to 32 x 32"),
    ]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def folders(root: Path) -> Path:
    for number, picture in enumerate(noise(24, side=64)):
        place = root / ("train" if number < 16 else "test") / "xy"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:02}.png").write_bytes(png(picture))
    (root / "train" / "x" / "wide.png").write_bytes(png(noise(1, 5, 64)[0][:16]))
    return root


def run(*words: object):
    return CliRunner().invoke(app, ["inspect", *map(str, words)])


def test_the_command_writes_the_page_of_class_folders(tmp_path: Path) -> None:
    data, out = folders(tmp_path / "d"), tmp_path / "x.html"
    write_page(out, page_of("an older page", "", []))
    (data / "test" / "x" / "copy.png").write_bytes((data / "train" / "x" / "00.png").read_bytes())
    result = run(data, "--html", out)
    assert result.exit_code == 0, result.output
    assert "Groups of near-duplicates: 0 (0 across splits)" in result.output
    assert f"To look at it: {out}" in result.output
    page = Page(out.read_text())
    assert "train/x/00.png: x" in page.text
    assert "train/x/wide.png 64 x 16 pixels: the central square keeps 25 % of it" in page.text


def test_without_the_option_no_page_and_no_line(tmp_path: Path) -> None:
    result = run(folders(tmp_path / "d"))
    assert result.exit_code == 0
    assert "near-duplicates" not in result.output
    assert not list(tmp_path.glob("*.html"))


def test_unreadable_files_are_on_the_page_and_the_command_fails(tmp_path: Path) -> None:
    data, out = folders(tmp_path / "d"), tmp_path / "x.html"
    (data / "train" / "x" / "b<i>.png").write_bytes(b"")
    (data / "train" / "y" / "page.jpg").write_bytes(b"<html>")
    result = run(data, "--html", out)
    assert isinstance(result.exception, DataError)
    assert result.exception.exit_code == 3
    page = Page(out.read_text())
    assert "2 picture files cannot be decoded" in page.text
    assert "Nothing else is counted until" in page.text
    assert "train/x/b<i>.png the file is empty" in page.text
    assert "train/y/page.jpg it is not a JPEG" in page.text


def test_very_many_unreadable_files_are_counted_and_the_first_are_listed() -> None:
    html = unreadable_page("d", [(f"{i}.png", "the file is empty") for i in range(2500)])
    assert "2,500 picture files cannot be decoded" in Page(html).text
    assert html.count("the file is empty") == 2000


@pytest.mark.parametrize(("out", "said"), [("no/x.html", "make it first"), (".", "is a folder")])
def test_a_page_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, out: str, said: str
) -> None:
    result = run("no-such-data", "--html", tmp_path / out)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_arrays_with_a_hold_out_have_a_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.savez(
        tmp_path / "v.npz",
        inputs=rng.normal(size=(90, 4)).astype(np.float32),
        labels=np.arange(90) % 3,
    )
    result = run(tmp_path / "v.npz", "--holdout", 0.2, "--html", tmp_path / "x.html")
    assert result.exit_code == 0, result.output
    assert "hold-out samples" in Page((tmp_path / "x.html").read_text()).text


def has_cifar100() -> bool:
    places = (Path.home() / ".cache" / "longtail", Path(os.environ.get("LONGTAIL_DATA", "/none")))
    return any((place / "cifar100.zip").exists() for place in places)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not has_cifar100(), reason="cifar100.zip is not here")
def test_the_page_of_cifar100_has_its_26_groups_of_copies_10_of_them_across() -> None:
    data = load_dataset("cifar100")
    found = facts_of(
        data,
        inspection := inspect(data),
        near_duplicates(data, inspection.duplicates),
        names={},
        sizes={},
    )
    assert (found.identical.total, found.identical.across) == (26, 10)
    html = dataset_page(found)
    assert len(html) < 5_000_000
    page = Page(html)
    assert "26 groups of samples that are equal value by value" in page.text
    assert "10 across splits" in page.text
    assert found.near is not None
    assert found.near.seen["test"] > 200

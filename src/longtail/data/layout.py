"""Which file belongs to which split and class, decided by paths before anything is decoded."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from longtail.data.decode import ENDINGS
from longtail.data.tree import Tree
from longtail.errors import DataError
from longtail.keyed import fold, permutation

# Folder name, in lower case -> split.
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "holdout",
    "valid": "holdout",
    "validation": "holdout",
    "test": "test",
    "testing": "test",
}
ORDER = ("train", "holdout", "test")
TEST_PERCENT = 20

LAYOUTS = (
    "Expected train/CLASS/*.jpg with test/CLASS/*.jpg (and val/CLASS/*.jpg) beside it, or "
    "CLASS/*.jpg alone; JPEG, PNG, WebP, BMP, TIFF and GIF files are read."
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A file, its class, and its position among the sorted files it was listed with."""

    name: str
    label: int
    index: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which file belongs to which split and class, before anything is decoded.

    Attributes:
        class_names: one folder name a class id.
        pictures: split ("train", "holdout", "test") -> its pictures, class by class.
        split_here: whether the test split was divided off here.
        notes: what was left out or decided, in sentences.
    """

    class_names: tuple[str, ...]
    pictures: dict[str, list[Picture]]
    split_here: bool
    notes: tuple[str, ...]


def lay_out(tree: Tree, path: Path) -> Layout:
    """Divide the pictures of a tree into splits and classes by their paths alone.

    Raises:
        DataError: as `load_folder`, for everything that shows without decoding.
    """
    names = sorted(name for name in tree.files if is_picture(name))
    top = _extra_top(names)
    rows = [(name, PurePosixPath(name.removeprefix(top)).parts) for name in names]
    divided = any(split_named(parts[0]) == "train" and len(parts) > 2 for _, parts in rows)
    members = _members(rows, divided)
    if not members:
        raise DataError(f"{path} has no pictures in class folders. {LAYOUTS}")
    if not divided and all(split_named(parts[0]) for _, parts in rows):
        raise DataError(f"{path} has no train folder to learn from. {LAYOUTS}")
    class_names = sort_classes({class_name for _, class_name in members})
    _check_classes(members, class_names, path)
    notes = [
        *_left_out(tree, len(rows) - sum(map(len, members.values()))),
        *_empty_classes(tree, top, divided, class_names),
    ]
    pictures = _labelled(members, class_names)
    if divided:
        notes += _missing_tests(pictures, class_names)
    else:
        pictures, note = _split_off_test(pictures["train"], class_names)
        notes.append(note)
    return Layout(class_names, pictures, not divided, tuple(notes))


def is_picture(name: str) -> bool:
    """Whether a file's ending is that of a format the decoder reads."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def split_named(folder: str) -> str | None:
    """The split a folder is named after, if it is."""
    return SPLITS.get(folder.lower())


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in the order of their ids: sorted, by value if all of them are numbers.

    >>> sort_classes(["10", "9", "1"]), sort_classes(["c10", "c9"])
    (('1', '9', '10'), ('c10', 'c9'))
    """
    names = list(names)
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def share_for_test(count: int) -> int:
    """Pictures of a class that a folder without splits gives to test: a fifth, at least one of two.

    >>> [share_for_test(n) for n in (1, 2, 9, 10, 14, 15, 100)]
    [0, 1, 1, 2, 2, 3, 20]
    """
    return 0 if count < 2 else max(1, count * TEST_PERCENT // 100)


def _extra_top(names: Sequence[str]) -> str:
    """The one folder around everything, as archives often have it, with its slash; else ""."""
    parts = [PurePosixPath(name).parts for name in names]
    tops = {p[0] for p in parts}
    wraps = len(tops) == 1 and not any(map(split_named, tops)) and all(len(p) > 2 for p in parts)
    return f"{tops.pop()}/" if wraps else ""


def _members(
    rows: Iterable[tuple[str, tuple[str, ...]]], divided: bool
) -> dict[tuple[str, str], list[str]]:
    """(split, class name) -> file names; pictures outside any class folder are left out."""
    members: dict[tuple[str, str], list[str]] = {}
    for name, parts in rows:
        split = split_named(parts[0]) if divided else "train"
        depth = 1 if divided else 0
        if split is not None and len(parts) > depth + 1:
            members.setdefault((split, parts[depth]), []).append(name)
    return members


def _check_classes(
    members: dict[tuple[str, str], list[str]], class_names: Sequence[str], path: Path
) -> None:
    if len(class_names) < 2:
        raise DataError(
            f"{path} has a single class, {class_names[0]!r}; a classifier needs at least two. "
            f"{LAYOUTS}"
        )
    unspeakable = [name for name in class_names if _is_broken(name)]
    if unspeakable:
        raise DataError(f"{path}: the folder name {unspeakable[0]!a} is not UTF-8; rename it.")
    unlearnable = [name for name in class_names if ("train", name) not in members]
    if unlearnable:
        raise DataError(
            f"{path}: {_listed(unlearnable)} cannot be learned: there are pictures to test with "
            "but none in train. Add some to train, or take the class out of the other folders."
        )


def _is_broken(name: str) -> bool:
    """Whether a name has bytes that are no text, which the file system module smuggles through."""
    return any("\udc80" <= letter <= "\udcff" for letter in name)


def _left_out(tree: Tree, strays: int) -> Iterator[str]:
    other = Counter(
        PurePosixPath(name).suffix.lower() for name in tree.files if not is_picture(name)
    )
    if other:
        kinds = ", ".join(kind or "no ending" for kind in sorted(other))
        yield f"Ignored files that are no pictures: {other.total()} ({kinds})."
    if strays:
        yield f"Ignored pictures outside the class folders: {strays}."
    if tree.links:
        yield f"Symbolic links to folders or to the outside, not followed: {tree.links}."


def _empty_classes(
    tree: Tree, top: str, divided: bool, class_names: Sequence[str]
) -> Iterator[str]:
    depth = 1 if divided else 0
    parts = [PurePosixPath(name.removeprefix(top)).parts for name in tree.folders]
    seen = {p[depth] for p in parts if len(p) == depth + 1 and (not divided or split_named(p[0]))}
    empty = sorted(seen - set(class_names) - {top.rstrip("/")})
    if empty:
        yield f"{_listed(empty)} has no picture anywhere and is no class."


def _labelled(
    members: dict[tuple[str, str], list[str]], class_names: Sequence[str]
) -> dict[str, list[Picture]]:
    """Split -> pictures, class by class in sorted order, numbered within the split."""
    pictures: dict[str, list[Picture]] = {}
    for split in ORDER:
        rows = [
            (name, label)
            for label, class_name in enumerate(class_names)
            for name in members.get((split, class_name), [])
        ]
        if rows:
            pictures[split] = [Picture(name, label, i) for i, (name, label) in enumerate(rows)]
    return pictures


def _missing_tests(pictures: dict[str, list[Picture]], class_names: Sequence[str]) -> Iterator[str]:
    if "test" not in pictures:
        yield "There is no test folder, so there are no test numbers."
        return
    tested = {picture.label for picture in pictures["test"]}
    untested = [name for label, name in enumerate(class_names) if label not in tested]
    if untested:
        yield f"{_listed(untested)} has no test picture, so nothing is known about it."


def _split_off_test(
    pictures: Sequence[Picture], class_names: Sequence[str]
) -> tuple[dict[str, list[Picture]], str]:
    """A stratified fifth as test: the same in every run, whatever the run's seed."""
    train: list[Picture] = []
    test: list[Picture] = []
    for label, members in groupby(pictures, key=lambda picture: picture.label):
        mates = list(members)
        order = permutation(fold(0, "folder test split", class_names[label]), len(mates))
        chosen = set(order[: share_for_test(len(mates))].tolist())
        test += [mate for i, mate in enumerate(mates) if i in chosen]
        train += [mate for i, mate in enumerate(mates) if i not in chosen]
    alone = [class_names[p.label] for p in train if p.label not in {t.label for t in test}]
    note = (
        f"There were no train and test folders: {len(test)} of {len(pictures)} pictures, a fixed "
    )
    note += f"{TEST_PERCENT} % of each class, are the test split."
    if alone:
        note += f" {_listed(alone)} is too small to be tested (one picture)."
    return {"train": train, "test": test} if test else {"train": train}, note


def _listed(names: Sequence[str], shown: int = 5) -> str:
    """`class 'a'`, or the first few of several and their number."""
    some = ", ".join(map(repr, names[:shown]))
    if len(names) == 1:
        return f"Class {some}"
    return f"Each of {len(names)} classes ({some}{', ...' if len(names) > shown else ''})"

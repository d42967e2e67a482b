"""The page of a dataset before training: what there is, what is rare, what to look at first."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.errors import printable
from longtail.prior import group_of, groups, imbalance_ratio
from longtail.report.arrays import Ints
from longtail.report.figures.class_counts import class_counts
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.groups import GROUP_RANGES
from longtail.report.page import Section, page, render
from longtail.report.pictures import Sprite, sprite
from longtail.report.tables import Cell, Column, Table, group_cell, number, share
from longtail.report.words import class_label, plural

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_FILES = 2000
"""Files that a page lists; more would make it too heavy to open."""
SPLIT_WORDS = {"train": "train", "holdout": "hold-out", "test": "test"}


@dataclasses.dataclass(frozen=True)
class ShownSample:
    """A sample that the page shows.

    Attributes:
        split: "train", "holdout" or "test".
        place: its file, or its number in the split.
        label: class id.
        picture: its row in `DatasetFacts.pictures`; None for a vector.
    """

    split: str
    place: str
    label: int
    picture: int | None


@dataclasses.dataclass(frozen=True)
class Copies:
    """Samples that are the same, or nearly.

    Attributes:
        members: the first few of them, at least two.
        size: how many they are.
        splits: where they lie, in the order train, holdout, test.
        conflicting: whether their labels differ.
        bits: of the closest two, how many of the 64 bits of their hashes differ; None if identical.
        likeness: correlation of the closest two as grey pictures; None if identical.
    """

    members: tuple[ShownSample, ...]
    size: int
    splits: tuple[str, ...]
    conflicting: bool
    bits: int | None = None
    likeness: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CopyGroups:
    """All groups of copies of one kind, by their numbers, and the first of them.

    Attributes:
        within: split -> groups that lie in it altogether.
        across: groups in more than one split.
        conflicting: groups with different labels.
        seen: split other than train -> its samples that have a copy in train.
        groups: those that the page shows.
        how: they were found, in sentences; "" where that needs no words.
        unseen: why there are more than these, in a sentence; "" where all were found.
    """

    within: Mapping[str, int]
    across: int
    conflicting: int
    seen: Mapping[str, int]
    groups: tuple[Copies, ...]
    how: str = ""
    unseen: str = ""

    @property
    def total(self) -> int:
        """Groups in all."""
        return sum(self.within.values()) + self.across


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """A dataset as its page shows it; strings as the data have them.

    Attributes:
        name: the dataset's name.
        source: where it came from, in words.
        input_shape: (h, w, 3) of a picture or (d,) of a vector.
        class_names: one a class id.
        counts: split -> samples a class.
        notes: what the source says it did, in sentences.
        rarest: samples of the smallest classes, one tuple a class, smallest first.
        identical: samples that are equal value by value.
        near: pictures that look alike; None where they cannot be compared.
        odd: samples worth a look and why, oddest first: those shown.
        odd_total: how many there are.
        files: files worth a look and why: class folders only.
        constant_columns: columns of vectors that have one value in train.
        pictures: uint8 [p, 32, 32, 3], what `ShownSample.picture` counts in; None for vectors.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    counts: Mapping[str, Sequence[int]]
    notes: tuple[str, ...]
    rarest: tuple[tuple[ShownSample, ...], ...]
    identical: CopyGroups
    near: CopyGroups | None
    odd: tuple[tuple[ShownSample, str], ...]
    odd_total: int
    files: tuple[tuple[str, str], ...]
    constant_columns: tuple[int, ...]
    pictures: npt.NDArray[np.uint8] | None


class _Kind(NamedTuple):
    """Copies of one kind in words.

    Attributes:
        id: of the section.
        title: of the section.
        what: samples that are such copies.
        none: that there are none, as a sentence.
        one: a copy of that kind, for a sentence that goes on with "one".
        last: how the groups are ordered beyond their labels and splits.
    """

    id: str
    title: str
    what: str
    none: str
    one: str
    last: str = ""


_IDENTICAL = _Kind(
    id="identical",
    title="Identical samples",
    what="samples that are equal value by value",
    none="No two samples are identical.",
    one="an identical",
)
_NEAR = _Kind(
    id="near",
    title="Near-duplicates",
    what="pictures that look alike and are not identical",
    none="No two pictures were found that look alike and are not identical.",
    one="a similar",
    last=", then the closest",
)


def dataset_page(facts: DatasetFacts) -> str:
    """The whole page as HTML."""
    sheet = sprite(facts.pictures, "samples")
    shape = " × ".join(map(str, facts.input_shape))
    subtitle = f"{printable(facts.source)}; {plural(len(facts.class_names), 'class')}, each {shape}"
    return page(printable(facts.name), subtitle, list(_sections(facts, sheet)))


def unreadable_page(name: str, unreadable: Sequence[tuple[str, str]]) -> str:
    """The page of data that cannot be read as a whole: every file that is in the way.

    Args:
        name: of the data.
        unreadable: file and reason.
    """
    table = _reasons("unreadable-files", "Files that cannot be read", unreadable)
    html = render(
        "dataset/unreadable.html.j2", table=table, number=len(unreadable), most=MOST_FILES
    )
    section = Section("unreadable", "Files that cannot be read", html)
    return page(printable(name), "before training", [section])


def _sections(facts: DatasetFacts, sheet: Sprite | None) -> Iterator[Section]:
    html = render("dataset/summary.html.j2", facts=facts, sheet=sheet, **_summary(facts))
    yield Section("summary", "What there is", html)
    yield Section("classes", "Samples of each class", _classes(facts))
    if sheet is not None:
        balanced = len(set(facts.counts["train"])) == 1
        html = render(
            "dataset/rarest.html.j2", classes=list(_rarest(facts)), balanced=balanced, sheet=sheet
        )
        yield Section("rarest", "The rarest classes", html)
    yield _copies(_IDENTICAL, facts, facts.identical, sheet)
    if facts.near is not None:
        yield _copies(_NEAR, facts, facts.near, sheet)
    yield Section("odd", "Worth a look", _odd(facts, sheet))


def _summary(facts: DatasetFacts) -> dict[str, object]:
    counts = np.asarray(facts.counts["train"], np.int64)
    sizes = {SPLIT_WORDS[name]: sum(of_split) for name, of_split in facts.counts.items()}
    return {
        "sizes": sizes,
        "imbalance": imbalance_ratio(counts),
        "largest": int(counts.max()),
        "smallest": int(counts[counts > 0].min()),
        "members": {group: len(classes) for group, classes in groups(counts).items()},
        "ranges": GROUP_RANGES,
        "empty": int(np.sum(counts == 0)),
        "splits": SPLIT_WORDS,
        "notes": [printable(note) for note in facts.notes],
    }


def _classes(facts: DatasetFacts) -> "Markup":
    counts = np.asarray(facts.counts["train"], np.int64)
    label = "Training samples of each class, from the most frequent to the rarest"
    figure = InlineFigure(inline(class_counts(counts), "class-counts", label), f"{label}.")
    table = _class_table(facts, counts)
    return render("dataset/classes.html.j2", figures=[figure], table=table)


def _class_table(facts: DatasetFacts, counts: Ints) -> Table:
    """A line for each class, head first."""
    sizes = [Column(SPLIT_WORDS[name]) for name in facts.counts]
    named = [Column("class", number=False, wide=True), Column("group", number=False)]
    total = max(1, counts.sum())
    lines = []
    for c in np.argsort(-counts, kind="stable").tolist():
        name, group = class_label(facts.class_names[c]), group_of(int(counts[c]))
        amounts = [number(of_split[c]) for of_split in facts.counts.values()]
        lines.append([Cell(name), group_cell(group), *amounts, share(counts[c] / total)])
    return Table("classes-table", "Every class", [*named, *sizes, Column("of train, %")], lines)


def _rarest(facts: DatasetFacts) -> Iterator[tuple[str, int, list[tuple[ShownSample, str]]]]:
    """Name, training samples and some of these with captions, of each of the rarest classes."""
    for members in facts.rarest:
        label = members[0].label
        captioned = [(shown, _caption(facts, shown)) for shown in members]
        yield class_label(facts.class_names[label]), facts.counts["train"][label], captioned


def _copies(kind: _Kind, facts: DatasetFacts, found: CopyGroups, sheet: Sprite | None) -> Section:
    html = render(
        "dataset/copies.html.j2",
        kind=kind,
        found=found,
        splits=SPLIT_WORDS,
        within={SPLIT_WORDS[split]: groups for split, groups in found.within.items()},
        lines=[(copies, [_caption(facts, s) for s in copies.members]) for copies in found.groups],
        sheet=sheet,
    )
    return Section(kind.id, kind.title, html)


def _odd(facts: DatasetFacts, sheet: Sprite | None) -> "Markup":
    return render(
        "dataset/odd.html.j2",
        facts=facts,
        lines=[(shown, _caption(facts, shown), why) for shown, why in facts.odd],
        files=_reasons("odd-files", "Files worth a look", facts.files),
        most_files=MOST_FILES,
        columns=", ".join(map(str, facts.constant_columns)),
        sheet=sheet,
    )


def _caption(facts: DatasetFacts, shown: ShownSample) -> str:
    """Where a sample lies, and its class."""
    place = f"{SPLIT_WORDS[shown.split]} {shown.place}" if shown.place.isdecimal() else shown.place
    return f"{printable(place)}: {class_label(facts.class_names[shown.label])}"


def _reasons(name: str, label: str, files: Sequence[tuple[str, str]]) -> Table:
    """Files and what is said of each, of the first of them."""
    columns = [Column("file", number=False, wide=True), Column("why", number=False, wide=True)]
    lines = [[Cell(printable(file)), Cell(printable(why))] for file, why in files[:MOST_FILES]]
    return Table(name, label, columns, lines)

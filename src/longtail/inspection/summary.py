"""A look at a dataset before training on it: counts, imbalance, copies, empty pictures."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from longtail.data.dataset import Dataset, Split, class_counts
from longtail.data.decode import PictureError, decode_quietly
from longtail.data.layout import is_picture
from longtail.data.sources.folder import each_picture, with_progress
from longtail.data.tree import open_tree
from longtail.errors import printable
from longtail.prior import Group, groups, imbalance_ratio
from longtail.report.groups import GROUP_RANGES

SMALLEST_SHOWN = 5
LISTED = 5
MOST_ROWS = 20
BAR_WIDTH = 30
FileNames = Mapping[str, Mapping[int, str]]

_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One sample: its split ("train", "holdout", "test"), its `Split.index` there, its label."""

    split: str
    index: int
    label: int


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What there is to know about a dataset without training on it.

    Attributes:
        name: the dataset's name.
        class_names: one name a class id.
        input_shape: (h, w, 3) of a picture or (d,) of a vector.
        counts: split -> samples a class, by class id.
        imbalance_ratio: largest class over smallest, in train.
        groups: many, medium, few -> number of classes, in train.
        smallest: names and train counts of the smallest classes, smallest first.
        duplicates: groups of samples whose decoded values are equal, two or more each.
        constant: pictures of a single colour.
        notes: what the source says it did.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    counts: dict[str, tuple[int, ...]]
    imbalance_ratio: float
    groups: dict[Group, int]
    smallest: tuple[tuple[str, int], ...]
    duplicates: tuple[tuple[Sample, ...], ...]
    constant: tuple[Sample, ...]
    notes: tuple[str, ...]

    def duplicates_within(self, split: str) -> tuple[tuple[Sample, ...], ...]:
        """Groups of equal samples that lie in one split altogether."""
        return tuple(group for group in self.duplicates if {s.split for s in group} == {split})

    @property
    def duplicates_across(self) -> tuple[tuple[Sample, ...], ...]:
        """Groups of equal samples in more than one split: test numbers they make too good."""
        return tuple(group for group in self.duplicates if len({s.split for s in group}) > 1)

    @property
    def conflicting(self) -> tuple[tuple[Sample, ...], ...]:
        """Groups of equal samples with different labels: at most one label can be right."""
        return tuple(group for group in self.duplicates if len({s.label for s in group}) > 1)


def inspect(dataset: Dataset) -> Inspection:
    """Count, group and compare the samples of train, hold-out and test."""
    splits = splits_of(dataset)
    counts = dataset.counts
    rarest = np.argsort(counts, kind="stable")[:SMALLEST_SHOWN]
    return Inspection(
        name=dataset.name,
        class_names=dataset.class_names,
        input_shape=dataset.input_shape,
        counts={
            name: tuple(class_counts(split.labels, dataset.num_classes).tolist())
            for name, split in splits.items()
        },
        imbalance_ratio=imbalance_ratio(counts),
        groups={group: len(members) for group, members in groups(counts).items()},
        smallest=tuple((dataset.class_names[label], int(counts[label])) for label in rarest),
        duplicates=_duplicates(splits),
        constant=_constant(splits) if len(dataset.input_shape) == 3 else (),
        notes=dataset.notes,
    )


def splits_of(dataset: Dataset) -> dict[str, Split]:
    """The splits there are, by name, in the order train, holdout, test."""
    candidates = {"train": dataset.train, "holdout": dataset.holdout, "test": dataset.test}
    return {name: split for name, split in candidates.items() if split is not None}


def samples_of(name: str, split: Split) -> Iterator[Sample]:
    """The samples of a split, in its order."""
    for index, label in zip(split.index.tolist(), split.labels.tolist(), strict=True):
        yield Sample(name, index, label)


@dataclasses.dataclass(frozen=True)
class Files:
    """What the picture files below a folder or in a .zip are.

    Attributes:
        sizes: file -> width and height in pixels, of those that can be decoded.
        unreadable: file and reason, of those that cannot.
    """

    sizes: dict[str, tuple[int, int]]
    unreadable: list[tuple[str, str]]


def look_at_files(path: Path) -> Files:
    """Decode every picture file below a folder or in a .zip.

    Raises:
        DataError: `path` is neither a folder nor a readable .zip.
    """
    with open_tree(path) as tree:
        names = sorted(name for name in tree.files if is_picture(name))
        results = list(with_progress(each_picture(tree, names, _size), len(names)))
    return Files(
        {
            name: result
            for name, result in zip(names, results, strict=True)
            if not isinstance(result, PictureError)
        },
        [(error.name, error.reason) for error in results if isinstance(error, PictureError)],
    )


def _size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of a file that can be decoded as a whole, before any EXIF rotation."""
    # One pixel is kept of each: everything is decoded, next to nothing is held.
    decode_quietly(data, 1, name=name)
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def render(inspection: Inspection, names: FileNames | None = None) -> list[str]:
    """The inspection as lines of plain text for a terminal.

    Args:
        inspection: what `inspect` found.
        names: split -> index -> file name, as `file_names` lists them; without them a sample is
            shown as its split, index and class.
    """
    return [
        *_summary(inspection),
        "",
        *_histogram(inspection),
        "",
        *_copies(inspection, names or {}),
        *map(printable, inspection.notes),
    ]


def _duplicates(splits: dict[str, Split]) -> tuple[tuple[Sample, ...], ...]:
    """Groups of equal samples, in the order of their first members."""
    alike: dict[bytes, list[Sample]] = {}
    for name, split in splits.items():
        for row, sample in zip(split.inputs, samples_of(name, split), strict=True):
            digest = hashlib.sha256(np.ascontiguousarray(row).data).digest()
            alike.setdefault(digest, []).append(sample)
    return tuple(tuple(group) for group in alike.values() if len(group) > 1)


def _constant(splits: dict[str, Split]) -> tuple[Sample, ...]:
    return tuple(
        sample
        for name, split in splits.items()
        for row, sample in zip(split.inputs, samples_of(name, split), strict=True)
        if (row == row[:1, :1]).all()
    )


def _summary(inspection: Inspection) -> Iterator[str]:
    shape = " x ".join(map(str, inspection.input_shape))
    sizes = ", ".join(f"{sum(counts):,} {name}" for name, counts in inspection.counts.items())
    name, num_classes = printable(inspection.name), len(inspection.class_names)
    yield f"{name}: {num_classes} classes, {sizes}, each {shape}"
    train = inspection.counts["train"]
    yield (
        f"Imbalance {inspection.imbalance_ratio:,.4g}: the largest class has {max(train):,} train "
        f"samples, the smallest {min(n for n in train if n):,}"
    )
    members = ", ".join(f"{number} {group}" for group, number in inspection.groups.items())
    yield f"Classes by train samples: {members} ({', '.join(GROUP_RANGES.values())})"
    rare = ", ".join(f"{printable(name)} {count:,}" for name, count in inspection.smallest)
    yield f"Smallest classes: {rare}"


def _histogram(inspection: Inspection) -> Iterator[str]:
    """One bar a class, largest first; of many classes the two ends."""
    train = inspection.counts["train"]
    order = sorted(range(len(train)), key=lambda label: (-train[label], label))
    names = [printable(name) for name in inspection.class_names]
    skipped = len(order) - MOST_ROWS if len(order) > MOST_ROWS else 0
    head = order[: MOST_ROWS // 2] if skipped else order
    tail = order[-(MOST_ROWS // 2) :] if skipped else []
    width = min(24, max(len(names[label]) for label in head + tail))
    for label in head:
        yield _bar(names[label], train[label], max(train), width)
    if skipped:
        yield f"{'...':{width}}  {skipped} classes between"
    for label in tail:
        yield _bar(names[label], train[label], max(train), width)


def _bar(name: str, count: int, largest: int, width: int) -> str:
    """`name  ████▌  count`, the bar to the nearest eighth of a character and never empty."""
    eighths = round(count / largest * BAR_WIDTH * 8)
    full, rest = divmod(max(eighths, 1 if count else 0), 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    short = name if len(name) <= width else name[: width - 1] + "…"
    return f"{short:{width}}  {bar:{BAR_WIDTH}}  {count:,}"


def _copies(inspection: Inspection, names: FileNames) -> Iterator[str]:
    total = len(inspection.duplicates)

    def listed(samples: Sequence[Sample], joint: str) -> str:
        shown = [_shown(s, inspection.class_names, names) for s in samples[:LISTED]]
        rest = len(samples) - LISTED
        return joint.join(shown) + (f" and {rest} more" if rest > 0 else "")

    if not total:
        yield "No two samples are identical."
    else:
        across = inspection.duplicates_across
        places = [f"{len(inspection.duplicates_within(s))} within {s}" for s in inspection.counts]
        yield (
            f"Groups of identical samples: {total} ({', '.join(places)}, {len(across)} across "
            f"splits); with different labels: {len(inspection.conflicting)}"
        )
        if across:
            yield "Samples in more than one split make the numbers of the later one too good:"
        found = across or inspection.duplicates
        yield from (f"  {listed(group, ' = ')}" for group in found[:LISTED])
        if len(found) > LISTED:
            yield f"  and {len(found) - LISTED} more groups"
    if inspection.constant:
        yield f"Pictures of a single colour: {listed(inspection.constant, ', ')}"


def _shown(sample: Sample, class_names: Sequence[str], names: FileNames) -> str:
    """The sample's file, or `train 12 (cat)`."""
    file = names.get(sample.split, {}).get(sample.index)
    return printable(file or f"{sample.split} {sample.index} ({class_names[sample.label]})")

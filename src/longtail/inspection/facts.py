"""From a dataset and what was found in it to the plain facts that its page shows."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from longtail.data.dataset import Dataset
from longtail.inspection.near_duplicates import HOW, UNSEEN, NearDuplicates, NearPair
from longtail.inspection.oddities import constant_columns, odd_samples, odd_sizes
from longtail.inspection.summary import FileNames, Inspection, Sample, splits_of
from longtail.inspection.thumbnails import SIDE, shrunk
from longtail.report.dataset import Copies, CopyGroups, DatasetFacts, ShownSample

RAREST, OF_EACH = 8, 8
MOST_GROUPS, MOST_MEMBERS = 200, 8
MOST_ODD = 48

Groups = Sequence[Sequence[Sample]]


def facts_of(
    dataset: Dataset,
    inspection: Inspection,
    near: NearDuplicates | None,
    *,
    names: FileNames,
    sizes: Mapping[str, tuple[int, int]],
) -> DatasetFacts:
    """Everything that the page of a dataset shows, with the pictures that it shows.

    Args:
        dataset: as it is trained on.
        inspection: of this dataset.
        near: its near-duplicates; None where they cannot be told.
        names: split -> index -> file; empty where samples have no files of their own.
        sizes: file -> width and height in pixels; empty likewise.
    """
    rarest, odd = list(_rarest(dataset)), odd_samples(dataset)
    identical = _most_telling(inspection.duplicates)
    alike = _most_telling(near.groups if near else ())
    members = (group[:MOST_MEMBERS] for group in (*identical, *alike))
    wanted = list(dict.fromkeys(chain(*rarest, *members, (o.sample for o in odd[:MOST_ODD]))))
    pictures = _pictures(dataset, wanted) if len(dataset.input_shape) == 3 else None
    show = _Showing(names, {} if pictures is None else {s: n for n, s in enumerate(wanted)})
    return DatasetFacts(
        name=dataset.name,
        source=dataset.source,
        input_shape=dataset.input_shape,
        class_names=dataset.class_names,
        counts=inspection.counts,
        notes=inspection.notes,
        rarest=tuple(tuple(map(show.sample, members)) for members in rarest),
        identical=_found(inspection.duplicates, inspection.counts, show.groups(identical)),
        near=_near(near, inspection.counts, show.groups(alike, near.closest)) if near else None,
        odd=tuple((show.sample(one.sample), one.why) for one in odd[:MOST_ODD]),
        odd_total=len(odd),
        files=tuple(odd_sizes(_used(sizes, names), dataset.input_shape[0])),
        constant_columns=constant_columns(dataset),
        pictures=pictures,
    )


@dataclasses.dataclass(frozen=True)
class _Showing:
    """How a sample is named, and which of the page's pictures is its."""

    names: FileNames
    numbers: Mapping[Sample, int]

    def sample(self, sample: Sample) -> ShownSample:
        place = self.names.get(sample.split, {}).get(sample.index, str(sample.index))
        return ShownSample(sample.split, place, sample.label, self.numbers.get(sample))

    def groups(
        self, groups: Groups, closest: Mapping[Sample, NearPair] | None = None
    ) -> tuple[Copies, ...]:
        return tuple(self._copies(group, (closest or {}).get(group[0])) for group in groups)

    def _copies(self, group: Sequence[Sample], closest: NearPair | None) -> Copies:
        return Copies(
            members=tuple(map(self.sample, group[:MOST_MEMBERS])),
            size=len(group),
            splits=tuple(dict.fromkeys(sample.split for sample in group)),
            conflicting=_conflicting(group),
            bits=closest.bits if closest else None,
            likeness=closest.likeness if closest else None,
        )


def _rarest(dataset: Dataset) -> Iterator[list[Sample]]:
    """The first few training samples of each of the smallest classes that have any."""
    counts = dataset.counts
    present = np.flatnonzero(counts)
    for label in present[np.argsort(counts[present], kind="stable")][:RAREST].tolist():
        rows = np.flatnonzero(dataset.train.labels == label)[:OF_EACH]
        yield [Sample("train", index, label) for index in dataset.train.index[rows].tolist()]


def _most_telling(groups: Groups) -> list[Sequence[Sample]]:
    """The groups with different labels first, then those across splits, as they come."""
    return sorted(groups, key=lambda g: (not _conflicting(g), not _across(g)))[:MOST_GROUPS]


def _across(group: Sequence[Sample]) -> bool:
    return len({sample.split for sample in group}) > 1


def _conflicting(group: Sequence[Sample]) -> bool:
    return len({sample.label for sample in group}) > 1


def _found(groups: Groups, splits: Mapping[str, object], shown: tuple[Copies, ...]) -> CopyGroups:
    alone = [group[0].split for group in groups if not _across(group)]
    in_train = [group for group in groups if any(s.split == "train" for s in group)]
    return CopyGroups(
        within={split: alone.count(split) for split in splits},
        across=len(groups) - len(alone),
        conflicting=sum(map(_conflicting, groups)),
        seen={
            split: sum(sample.split == split for group in in_train for sample in group)
            for split in splits
            if split != "train"
        },
        groups=shown,
    )


def _near(
    near: NearDuplicates, splits: Mapping[str, object], shown: tuple[Copies, ...]
) -> CopyGroups:
    """The same of near-duplicates, where only a pair of its own makes a sample seen in train."""
    found = _found(near.groups, splits, shown)
    seen = {split: len(near.seen_in_train(split)) for split in found.seen}
    return dataclasses.replace(found, seen=seen, how=HOW, unseen="" if near.complete else UNSEEN)


def _used(sizes: Mapping[str, tuple[int, int]], names: FileNames) -> dict[str, tuple[int, int]]:
    """The sizes of the files that are samples."""
    return {name: sizes[name] for of_split in names.values() for name in of_split.values()}


def _pictures(dataset: Dataset, samples: Sequence[Sample]) -> npt.NDArray[np.uint8]:
    """Thumbnails of the samples, uint8 [n, 32, 32, 3]."""
    pictures = np.zeros((len(samples), SIDE, SIDE, 3), np.uint8)
    for name, split in splits_of(dataset).items():
        rows = [row for row, sample in enumerate(samples) if sample.split == name]
        index = np.array([samples[row].index for row in rows], np.int64)
        order = np.argsort(split.index)
        positions = order[np.searchsorted(split.index, index, sorter=order)]
        if rows:
            pictures[rows] = shrunk(split.inputs[positions])
    return pictures

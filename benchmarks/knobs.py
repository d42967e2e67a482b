"""What does the order of the five rows depend on, and does RCL pay once all are tuned alike?

    python benchmarks/knobs.py data --out runs/knobs        # CIFAR-LT at 16 x 16 pixels
    longtail bench benchmarks/grids/knobs.yaml --out runs/knobs/trials --threads 1
    python benchmarks/knobs.py choose --out runs/knobs      # writes grids/tuned-DATA.yaml
    longtail bench benchmarks/grids/tuned-cifar10-lt.yaml --out runs/knobs/tuned --threads 1
    longtail bench benchmarks/grids/tuned-cifar100-lt.yaml --out runs/knobs/tuned --threads 1
    python benchmarks/knobs.py page --out runs/knobs        # docs/results/knobs.md

A quarter of the pixels is a third of the time, and pays for seeds. Every row has the same number of
settings, one knob off its default at a time, with a seed that no table has, judged on pictures that
the cut threw away. What is best there is trained again on other seeds. Test decides nothing. `page`
without --out writes the page again from the records that are kept.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from longtail.data.archive import write_archive
from longtail.data.dataset import Dataset, Split
from longtail.data.hashing import pictures_hash
from longtail.data.load import load_dataset

HOLDOUTS = {"cifar10-lt": "discarded:200", "cifar100-lt": "discarded:20"}


def write_data(out: Path) -> None:
    """Write each dataset at half its side as an archive that brings its own hold-out."""
    out.mkdir(parents=True, exist_ok=True)
    for name, holdout in HOLDOUTS.items():
        small = half_size(load_dataset(name, holdout=holdout), f"{name}-16px")
        write_archive(small, out / f"{small.name}.npz")


def half_size(dataset: Dataset, name: str) -> Dataset:
    """The dataset with every 2 x 2 pixels averaged, under a name of its own."""
    assert dataset.test is not None
    assert dataset.holdout is not None
    train = halved(dataset.train)
    return dataclasses.replace(
        dataset,
        name=name,
        train=train,
        test=halved(dataset.test),
        holdout=halved(dataset.holdout),
        discarded=None,
        data_hash=pictures_hash(train.inputs),
    )


def halved(split: Split) -> Split:
    pictures = np.asarray(split.inputs[:], np.uint16)
    n, height, width, channels = pictures.shape
    blocks = pictures.reshape(n, height // 2, 2, width // 2, 2, channels)
    averages = (blocks.sum((2, 4), dtype=np.uint16) + 2) // 4
    return dataclasses.replace(split, inputs=averages.astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("data",))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_data(arguments.out)


if __name__ == "__main__":
    main()

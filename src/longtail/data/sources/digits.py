"""The handwritten digits that ship with scikit-learn: real data without a download."""

import numpy as np

from longtail.data.dataset import Dataset, class_counts, split_of
from longtail.data.holdout import keyed_draw

TEST_PER_CLASS = 60


def load_digits() -> Dataset:
    """1,797 pictures of 8x8, sixty a class for test and 114 to 123 a class for train.

    The grey values 0 to 16 become 0 to 255, three equal channels: uint8 [n, 8, 8, 3]. The split is
    the same in every run.
    """
    from sklearn.datasets import load_digits as bundled

    images, labels = bundled().images, bundled().target
    grey = np.rint(images * (255 / 16)).astype(np.uint8)
    everything = split_of(np.repeat(grey[..., None], 3, axis=-1), labels)
    num_classes = int(class_counts(everything.labels, 10).size)
    tested = keyed_draw(everything, np.full(num_classes, TEST_PER_CLASS), "digits test")
    return Dataset(
        name="digits",
        source="handwritten digits of scikit-learn",
        kind="digits",
        class_names=tuple(str(digit) for digit in range(num_classes)),
        train=everything.take(np.flatnonzero(~tested)),
        test=everything.take(np.flatnonzero(tested)),
    )

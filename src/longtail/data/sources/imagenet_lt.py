"""ImageNet-LT (Liu et al. 2019, arXiv 1904.05160), from class folders that someone laid out."""

import dataclasses
from pathlib import Path

from longtail.data.dataset import Dataset
from longtail.data.sources.cifar import data_roots
from longtail.data.sources.folder import load_folder
from longtail.errors import DataError

FOLDER = "imagenet-lt"
SIDE = 224
NUM_CLASSES = 1000
NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_WHAT = (
    "ImageNet-LT is 115,846 train, 20,000 val and 50,000 test pictures of 1,000 classes, taken "
    "from ILSVRC 2012 by the lists ImageNet_LT_{train,val,test}.txt of Liu et al. 2019 (OLTR). "
    f"Neither may be shipped: put the listed pictures at {FOLDER}/{{train,val,test}}/CLASS/*.JPEG"
)


def load_imagenet_lt(root: Path | None = None) -> Dataset:
    """ImageNet-LT, pictures uint8 [n, 224, 224, 3]; val becomes the hold-out.

    They are decoded once, into 28 GB of the cache.

    Args:
        root: a folder that holds `imagenet-lt`; default `data_roots()`.

    Raises:
        DataError: it is in no root, a split is missing, or its classes are not 1,000.
    """
    roots = data_roots() if root is None else [root]
    folder = next((place / FOLDER for place in roots if (place / FOLDER).is_dir()), None)
    if folder is None:
        looked = " and ".join(map(str, roots))
        raise DataError(
            f"{_WHAT} below one of {looked}, or set LONGTAIL_DATA to the folder above it."
        )
    # Counted before hours are spent on decoding pictures.
    for split in ("train", "val", "test"):
        classes = [path for path in folder.glob(f"{split}/*") if path.is_dir()]
        if len(classes) != NUM_CLASSES:
            raise DataError(
                f"{folder / split} has {len(classes)} class folders instead of 1,000. {_WHAT}."
            )
    return dataclasses.replace(
        load_folder(folder, image_size=SIDE),
        source="ImageNet-LT, class folders",
        normalisation=NORMALISATION,
    )

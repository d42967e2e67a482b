"""Pictures of any size as 32 x 32: for looking at them, and for comparing them."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Pictures = npt.NDArray[np.uint8]

SIDE = 32
# ITU-R 601: what an eye makes of red, green and blue.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BATCH = 2048


def shrunk(pictures: npt.NDArray[np.generic]) -> Pictures:
    """Scale pictures to 32 x 32, averaging over what a pixel covers; of that size they stay.

    Args:
        pictures: uint8 [n, h, w, 3].

    Returns:
        uint8 [n, 32, 32, 3], in memory.
    """
    if pictures.shape[1:3] == (SIDE, SIDE):
        return np.asarray(pictures, np.uint8)
    small = [
        Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        for picture in np.asarray(pictures, np.uint8)
    ]
    return np.stack([np.asarray(picture) for picture in small])


def grey_thumbnails(pictures: npt.NDArray[np.generic]) -> Pictures:
    """Brightness of each pixel of the pictures at 32 x 32.

    Args:
        pictures: uint8 [n, h, w, 3]; memory maps are read some rows at a time.

    Returns:
        uint8 [n, 32, 32].
    """
    grey = np.empty((len(pictures), SIDE, SIDE), np.uint8)
    for start in range(0, len(pictures), _BATCH):
        part = slice(start, start + _BATCH)
        grey[part] = np.rint(shrunk(pictures[part]).astype(np.float32) @ _LUMA)
    return grey

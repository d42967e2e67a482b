"""Many small pictures in one: a sprite sheet, which a page holds once and shows cell by cell."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from longtail.report.arrays import Ints

LOSSLESS_UP_TO = 64
# 3,000 pictures of CIFAR-100 as base64: 1.7 MB, off by 6 grey levels (root mean square), for
# 8.6 MB as PNG. Quality 70 saves 0.3 MB and shows its blocks when enlarged; 90 costs 0.7 MB. At one
# size WebP is no nearer to the picture at these sizes, and it filters across the cells' borders.
# With full-size colour (subsampling 0) a JPEG's blocks are 8 x 8 and never span two cells.
_JPEG: dict[str, Any] = {"quality": 80, "subsampling": 0, "optimize": True}


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A sheet of pictures of one size; cell k is in row k // columns and column k % columns.

    Attributes:
        name: of the sheet in its page; letters, digits and hyphens.
        uri: the sheet itself, as a data URI.
        columns, rows: cells across and down; the last row may end in black cells.
        size: side of a cell in pixels.
    """

    name: str
    uri: str
    columns: int
    rows: int
    size: int


def sprite(
    pictures: npt.NDArray[np.uint8] | None,
    name: str,
    chosen: Sequence[int] | Ints | None = None,
    columns: int = 24,
) -> Sprite | None:
    """One sheet of the chosen pictures, in their order: PNG of up to 64, JPEG of more.

    Equal pictures give equal sheets.

    Args:
        pictures: uint8 [n, side, side, 3]; a side of a multiple of 8 keeps JPEG from mixing
            neighbours. None where samples are no pictures.
        name: of the sheet; no two of a page alike.
        chosen: positions in [0, n); None is all.
        columns: at most so many cells across.

    Returns:
        None without a picture.
    """
    shown = pictures if pictures is None or chosen is None else pictures[chosen]
    if shown is None or not len(shown):
        return None
    across = min(columns, len(shown))
    rows = -(-len(shown) // across)
    sheet = _sheet(shown, across, rows)
    uri = png(sheet) if len(shown) <= LOSSLESS_UP_TO else _encoded(sheet, "jpeg", **_JPEG)
    return Sprite(name, uri, across, rows, shown.shape[1])


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Pixels as a PNG in a data URI: [h, w, 2] grey with opacity, or [h, w, 3] colours."""
    return _encoded(pixels, "png", optimize=True)


def data_uri(content: bytes, kind: str) -> str:
    """A picture file of a kind, png or jpeg, as an address that holds all of it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _sheet(pictures: npt.NDArray[np.uint8], columns: int, rows: int) -> npt.NDArray[np.uint8]:
    """The pictures side by side, uint8 [rows * side, columns * side, 3]."""
    side = pictures.shape[1]
    cells = np.zeros((rows * columns, side, side, 3), np.uint8)
    cells[: len(pictures)] = pictures
    grid = cells.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
    return grid.reshape(rows * side, columns * side, 3)


def _encoded(pixels: npt.NDArray[np.uint8], kind: str, **options: Any) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return data_uri(file.getvalue(), kind)

"""Many small pictures in one: a sprite sheet, which a page holds once and shows cell by cell."""

import base64
import dataclasses
import io
from typing import Any

import numpy as np
import numpy.typing as npt

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


def sprite(pictures: npt.NDArray[np.uint8], name: str, columns: int = 24) -> Sprite:
    """One sheet of all pictures, in their order: PNG of up to 64, JPEG of more.

    Equal pictures give equal sheets.

    Args:
        pictures: uint8 [n, side, side, 3], at least one; a side of a multiple of 8 keeps JPEG
            from mixing neighbours.
        name: of the sheet; no two of a page alike.
        columns: at most so many cells across.
    """
    across = min(columns, len(pictures))
    rows = -(-len(pictures) // across)
    uri = _uri(_sheet(pictures, across, rows), lossless=len(pictures) <= LOSSLESS_UP_TO)
    return Sprite(name, uri, across, rows, pictures.shape[1])


def _sheet(pictures: npt.NDArray[np.uint8], columns: int, rows: int) -> npt.NDArray[np.uint8]:
    """The pictures side by side, uint8 [rows * side, columns * side, 3]."""
    side = pictures.shape[1]
    cells = np.zeros((rows * columns, side, side, 3), np.uint8)
    cells[: len(pictures)] = pictures
    grid = cells.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
    return grid.reshape(rows * side, columns * side, 3)


def _uri(sheet: npt.NDArray[np.uint8], lossless: bool) -> str:
    from PIL import Image

    file = io.BytesIO()
    kind, options = ("png", {"optimize": True}) if lossless else ("jpeg", _JPEG)
    Image.fromarray(sheet).save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"

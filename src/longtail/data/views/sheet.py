"""A contact sheet of the views: `python -m longtail.data.views.sheet OUT.png`.

Two photographs and the digits that ship with scikit-learn, each under every role.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from longtail import keyed
from longtail.data.dataset import Kind
from longtail.data.views import VIEWS, view_for
from longtail.errors import UsageError

_TILE, _GAP, _HEADER = 80, 4, 16
_DRAWS = 4
# Left, top and side of the squares cut from scikit-learn's two photographs (china, flower).
_SQUARES = ((0, (0, 0, 420)), (0, (30, 130, 200)), (1, (190, 20, 300)), (1, (0, 0, 427)))


def photographs(side: int = 32) -> Tensor:
    """Squares of scikit-learn's sample photographs, uint8 [4, 3, side, side]."""
    from sklearn.datasets import load_sample_images

    pictures = load_sample_images().images
    squares = []
    for which, (left, top, size) in _SQUARES:
        square = Image.fromarray(pictures[which]).crop((left, top, left + size, top + size))
        squares.append(np.asarray(square.resize((side, side), Image.Resampling.LANCZOS)))
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous()


def handwritten(count: int = 2) -> Tensor:
    """Scikit-learn's first 8x8 digits as grey pictures, uint8 [count, 3, 8, 8]."""
    from sklearn.datasets import load_digits

    levels = torch.from_numpy(load_digits().images[:count] * 255 / 16).to(torch.uint8)
    return levels[:, None].repeat(1, 3, 1, 1)


def row_of_views(picture: Tensor, kind: Kind, seed: int) -> list[Tensor]:
    """The picture [3, h, w] itself, then some draws of every other role in their listed order."""
    views = [picture[None]]
    for role in VIEWS[kind]:
        if role != "plain":
            key = keyed.fold(seed, role, torch.arange(_DRAWS))
            views.append(view_for(kind, role)(picture.expand(_DRAWS, -1, -1, -1), key))
    return list(torch.cat(views))


def contact_sheet(seed: int = 0) -> Image.Image:
    """Every picture under every role, one row a picture."""
    rows = [row_of_views(p, "photo", seed + i) for i, p in enumerate(photographs())]
    rows += [row_of_views(p, "digits", seed + i) for i, p in enumerate(handwritten())]
    step = _TILE + _GAP
    size = (len(rows[0]) * step + _GAP, _HEADER + len(rows) * step + _GAP)
    sheet = Image.new("RGB", size, "white")
    for i, row in enumerate(rows):
        for j, view in enumerate(row):
            tile = Image.fromarray(view.permute(1, 2, 0).numpy())
            big = tile.resize((_TILE, _TILE), Image.Resampling.NEAREST)
            sheet.paste(big, (_GAP + j * step, _HEADER + i * step))
    draw = ImageDraw.Draw(sheet)
    for i, role in enumerate(VIEWS["photo"]):
        column = 0 if role == "plain" else 1 + (i - 1) * _DRAWS
        draw.text((_GAP + column * step, 2), role, fill="black")
    return sheet


def main(arguments: list[str]) -> None:
    """Write the sheet to the one path given."""
    if len(arguments) != 1:
        raise UsageError("Give one path: python -m longtail.data.views.sheet OUT.png")
    contact_sheet().save(Path(arguments[0]), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])

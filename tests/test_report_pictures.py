"""Sprite sheets: cell k is picture k, in the file and in the page."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from longtail.report.page import _environment
from longtail.report.pictures import LOSSLESS_UP_TO, sprite


def pictures(number, seed=0):
    """Smooth pictures, each of its own colour, which a codec keeps nearly as they are."""
    rng = np.random.default_rng(seed)
    base = rng.integers(40, 216, (number, 1, 1, 3))
    return (base + np.linspace(-30, 30, 32)[None, :, None, None]).repeat(32, 2).astype(np.uint8)


def decoded(sheet):
    _, text = sheet.uri.split(";base64,")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))
    assert image.shape == (sheet.rows * sheet.size, sheet.columns * sheet.size, 3)
    return image


def cell(image, sheet, number):
    row, column = divmod(number, sheet.columns)
    side = sheet.size
    return image[row * side : (row + 1) * side, column * side : (column + 1) * side]


@pytest.mark.parametrize("number", [1, 5, 24, 25, LOSSLESS_UP_TO])
def test_few_pictures_are_kept_to_the_bit(number):
    shown = np.random.default_rng(1).integers(0, 256, (number, 32, 32, 3)).astype(np.uint8)
    sheet = sprite(shown, "few", columns=24)
    assert sheet.uri.startswith("data:image/png;base64,")
    image = decoded(sheet)
    for k in range(number):
        np.testing.assert_array_equal(cell(image, sheet, k), shown[k])


def test_of_many_pictures_each_cell_is_its_picture_within_the_codec_s_error():
    shown = pictures(LOSSLESS_UP_TO + 36)
    sheet = sprite(shown, "many", columns=9)
    assert sheet.uri.startswith("data:image/jpeg;base64,")
    image = decoded(sheet)
    for k in range(len(shown)):
        assert np.abs(cell(image, sheet, k).astype(int) - shown[k]).max() <= 12


def test_a_neighbour_does_not_change_a_cell():
    shown = pictures(LOSSLESS_UP_TO + 1)
    other = shown.copy()
    other[1] = 255 - other[1]
    one, two = (sprite(p, "n", columns=8) for p in (shown, other))
    np.testing.assert_array_equal(cell(decoded(one), one, 0), cell(decoded(two), two, 0))


def test_equal_pictures_give_equal_sheets():
    assert sprite(pictures(70), "a") == sprite(pictures(70), "a")


MACROS = """{% from "macros.html.j2" import sprite_style, thumb %}"""


def macro(text, **values):
    return _environment().from_string(MACROS + text).render(**values)


def test_a_page_holds_the_sheet_once_and_a_thumb_shows_its_cell():
    sheet = sprite(pictures(10), "seen", columns=4)
    text = macro("{{ sprite_style(s) }}{{ thumb(s, 6, 48, label) }}", s=sheet, label='"><script>')
    assert text.count(sheet.uri) == 1
    assert "<script>" not in text
    (style,) = re.findall(r'<span class="thumb sprite-seen" role="img" [^>]*style="([^"]*)"', text)
    assert "background-size: 192px auto" in style
    assert "background-position: -96px -48px" in style

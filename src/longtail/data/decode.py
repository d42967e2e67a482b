"""One picture file to uint8 RGB: the only place that meets what people keep in image folders.

What becomes of the odd kinds: grey is repeated, palettes are looked up, transparency is laid on
white, CMYK is converted, the EXIF rotation is applied, an animation gives its first frame, and
16-bit grey is scaled by its full range 0..65535 (Pillow's own conversion clips it at 255).
"""

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from longtail.errors import DataError

Pixels = npt.NDArray[np.uint8]

# Raised whenever the same file may decode to other pixels: it is part of every cache's name.
DECODER_VERSION = 1
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif")
)
# A 15 kB file can claim 120 million pixels; the header is believed before any memory is spent.
MAX_PIXELS = 64_000_000

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(DataError):
    """One picture that cannot be read.

    Attributes:
        name: the file as its owner knows it.
        reason: why, in words, without the name.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} cannot be read: {reason}.")
        self.name = name
        self.reason = reason


def decode(file: BinaryIO | Path | bytes, size: int | None, *, name: str | None = None) -> Pixels:
    """Read one JPEG, PNG, WebP, BMP, TIFF or GIF as RGB.

    With a size, the picture is scaled until its shorter side is `size` (bilinear, antialiased when
    shrinking) and the central square is kept.

    Args:
        file: a path, an open binary file or the file's bytes.
        size: side of the square in pixels; None keeps the picture as it is.
        name: what an error calls the file; by default its path.

    Returns:
        uint8 [size, size, 3], or [h, w, 3] without a size.

    Raises:
        PictureError: the file is no such picture, is damaged, or claims over 64 million pixels.
    """
    shown = name or (str(file) if isinstance(file, Path) else getattr(file, "name", "the picture"))
    with quiet_pillow():
        return decode_quietly(file, size, name=str(shown))


def picture_files(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the pictures below the given folders, sorted within each.

    Raises:
        DataError: a path that does not exist, or a folder without a picture.
    """
    files: list[Path] = []
    for path in paths:
        below = [path]
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
        if not below or not path.exists():
            problem = "holds no picture" if path.exists() else "does not exist"
            raise DataError(f"{path} {problem}; name picture files, or folders that hold some.")
        files += below
    return files


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about broken metadata, which say nothing about the pixels.

    The warning filters belong to the process, so threads that decode share one such block.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode_quietly(file: BinaryIO | Path | bytes, size: int | None, *, name: str) -> Pixels:
    """`decode` for callers already inside `quiet_pillow`, e.g. a pool of threads."""
    try:
        with _opened(file) as image:
            image.load()
            upright = _upright(_as_rgb(image), _orientation(image))
            return np.array(upright if size is None else _square(upright, size), np.uint8)
    except Exception as error:  # damaged files make Pillow's readers raise nearly anything
        raise PictureError(name, _reason(error)) from error


def shorter_side(file: BinaryIO | Path | bytes, *, name: str) -> int:
    """The shorter side of a picture in pixels, from its header alone.

    Raises:
        PictureError: as `decode`.
    """
    try:
        with quiet_pillow(), _opened(file) as image:
            return min(image.size)
    except Exception as error:  # as above
        raise PictureError(name, _reason(error)) from error


def _opened(file: BinaryIO | Path | bytes) -> Image.Image:
    """The picture's header, refused when it claims too many pixels."""
    if isinstance(file, bytes) and not file:
        raise ValueError("the file is empty")
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    image = Image.open(source, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(
            f"its header claims {width} x {height} pixels, and the limit is "
            f"{MAX_PIXELS // 10**6} million"
        )
    return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no stated range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Grey 0..65535 to 0..255, to the nearest level."""
    # Older Pillow opens a 16-bit PNG as 32-bit integers, so the values decide, not the mode.
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError("32-bit pixels have no stated range; save it with 8 or 16 bits")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8; 1 where there is none."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # unreadable metadata beside intact pixels: as if there were none
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _square(image: Image.Image, size: int) -> Image.Image:
    """The central square of the scaled picture.

    Only the square is computed: scaling a 1 x 60,000,000 strip as a whole would need gigabytes.
    """
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF picture, or its header is damaged"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    text = str(error).strip().rstrip(".")
    return text.splitlines()[0] if text else type(error).__name__

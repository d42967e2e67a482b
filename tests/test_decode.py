"""An image zoo made in code, each animal with the outcome it must have."""

import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from longtail.data import decode as module
from longtail.data.decode import PictureError, decode, shorter_side
from longtail.errors import DataError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photograph(height: int = 24, width: int = 40) -> np.ndarray:
    """Smooth in both directions and different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack(
        [255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)], -1
    ).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_rgb_is_returned_unchanged(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = photograph()
    found = decode(encoded(Image.fromarray(pixels), kind, **options), None)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)


def test_jpeg_is_close_and_a_path_a_file_and_bytes_agree(tmp_path: Path) -> None:
    pixels = photograph()
    data = encoded(Image.fromarray(pixels), "JPEG", quality=95, subsampling=0)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    found = decode(data, None)
    assert np.abs(found.astype(int) - pixels).max() <= 8
    np.testing.assert_array_equal(decode(path, None), found)
    with path.open("rb") as file:
        np.testing.assert_array_equal(decode(file, None), found)


def test_grey_is_repeated_in_every_channel() -> None:
    grey = photograph()[..., 0]
    found = decode(encoded(Image.fromarray(grey)), None)
    np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, -1))


def test_one_bit_becomes_black_and_white() -> None:
    bits = np.eye(9, dtype=bool)
    found = decode(encoded(Image.fromarray(bits)), None)
    np.testing.assert_array_equal(found[..., 0], bits * 255)


def test_a_palette_is_looked_up() -> None:
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, *RED])
    assert (decode(encoded(image), None) == RED).all()


def test_a_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, (0, 0, 255))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(data, None) == RED).all()


def test_a_transparent_palette_entry_becomes_white() -> None:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((1, 1), 1)
    found = decode(encoded(image, transparency=0), None)
    np.testing.assert_array_equal(found[0, 0], WHITE)
    np.testing.assert_array_equal(found[1, 1], (0, 0, 255))


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (*RED, 0), WHITE),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (0, 51), (204, 204, 204)),
    ],
)
def test_alpha_is_laid_on_white(mode: str, color: tuple, expected: tuple) -> None:
    found = decode(encoded(Image.new(mode, (2, 2), color)), None)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    image = Image.fromarray(np.array([[RED, (0, 255, 0)]], np.uint8))
    found = decode(encoded(image, transparency=RED), None)
    np.testing.assert_array_equal(found[0], [WHITE, (0, 255, 0)])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_ink_becomes_light(kind: str) -> None:
    found = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind), None)
    assert np.abs(found.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("size", [None, 128])
def test_a_16_bit_ramp_keeps_its_levels(kind: str, size: int | None) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = decode(encoded(Image.fromarray(ramp), kind), size)
    assert len(np.unique(found)) >= (256 if size is None else 126)
    assert found[0, 0, 0] <= 1
    assert found[-1, -1, 0] >= 254
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_big_endian_16_bit_tiff_is_read_in_its_own_byte_order() -> None:
    values = np.array([[0, 257], [257 * 100, 65535]], ">u2")
    tags = [(256, 4, 2), (257, 4, 2), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, 2), (279, 4, 8)]
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1)
        + (struct.pack(">I", value) if kind == 4 else struct.pack(">HH", value, 0))
        for tag, kind, value in tags
    )
    directory = struct.pack(">H", len(tags)) + entries + struct.pack(">I", 0)
    data = b"MM" + struct.pack(">HI", 42, 16) + values.tobytes() + directory
    np.testing.assert_array_equal(decode(data, None)[..., 0], [[0, 1], [100, 255]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_a_stated_range_are_refused(dtype: type) -> None:
    data = encoded(Image.fromarray(np.array([[0, 70_000]], dtype)), "TIFF")
    with pytest.raises(PictureError, match="no stated range"):
        decode(data, None)


# What a viewer must do to a picture stored with each orientation, in numpy's words.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_every_exif_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    upright = photograph()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(encoded(stored, kind, exif=exif, **options), None)
    np.testing.assert_array_equal(found, upright)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(photograph()), exif=exif)
    np.testing.assert_array_equal(decode(data, None), photograph())


def test_broken_metadata_does_not_hide_intact_pixels() -> None:
    data = encoded(Image.fromarray(photograph()), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(data, None), photograph())


def test_a_warning_about_metadata_is_no_concern_of_the_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def complaining(self: Image.Image) -> Image.Exif:
        warnings.warn("Corrupt EXIF data", stacklevel=2)
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", complaining)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = decode(encoded(Image.fromarray(photograph()), "BMP"), None)
    np.testing.assert_array_equal(found, photograph())
    assert heard == []


def test_the_shorter_side_is_scaled_and_the_central_square_kept() -> None:
    pixels = photograph(64, 128)
    expected = Image.fromarray(pixels).resize((64, 32), Image.Resampling.BILINEAR)
    found = decode(encoded(Image.fromarray(pixels)), 32)
    np.testing.assert_array_equal(found, np.asarray(expected)[:, 16:48])


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    found = decode(encoded(Image.fromarray(stripes)), 8)[2:-2, 2:-2]
    assert np.abs(found.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (3, 5), (32, 32), (500, 33)])
@pytest.mark.parametrize("size", [1, 8, 32])
def test_any_shape_becomes_the_square_asked_for(shape: tuple[int, int], size: int) -> None:
    data = encoded(Image.new("RGB", shape[::-1], RED))
    assert decode(data, size).shape == (size, size, 3)
    assert (decode(data, size) == RED).all()
    assert decode(data, None).shape == (*shape, 3)


def test_the_square_size_leaves_a_picture_of_that_size_alone() -> None:
    pixels = photograph(32, 32)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(pixels)), 32), pixels)


def test_a_long_strip_is_not_scaled_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def watched(self: Image.Image, size: tuple[int, int], *args: object, **kw: object) -> object:
        sizes.append(size)
        return resize(self, size, *args, **kw)

    monkeypatch.setattr(Image.Image, "resize", watched)
    decode(encoded(Image.new("L", (60_000, 1), 7)), 64)
    assert sizes == [(64, 64)]


def bomb(width: int, height: int) -> bytes:
    """A valid 1-bit PNG of all zeros, made without holding its pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    row = bytes(1 + (width + 7) // 8)
    squeeze = zlib.compressobj(9)
    body = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("shape", [(10_000, 8_000), (12_000, 10_000), (20_000, 20_000)])
def test_a_bomb_is_refused_by_its_header(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bomb(*shape)
    assert len(data) < 70_000

    def explode(self: object) -> None:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)
    with pytest.raises(PictureError, match=r"header claims 1|decompression bomb"):
        decode(data, 32, name="bomb.png")
    with pytest.raises(PictureError):
        shorter_side(data, name="bomb.png")


def test_a_picture_at_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 30)
    assert decode(bomb(6, 5), None).shape == (5, 6, 3)
    with pytest.raises(PictureError, match="6 x 6 pixels"):
        decode(bomb(6, 6), None)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
BROKEN = {
    "void.png": (b"", "the file is empty"),
    "page.jpg": (b"<html><body>404 Not Found</body></html>", "not a JPEG, PNG"),
    "drawing.png": (SVG, "not a JPEG, PNG"),
    "zeros.jpg": (bytes(500), "not a JPEG, PNG"),
    "short.jpg": (encoded(Image.fromarray(photograph(99, 99)), "JPEG")[:900], "truncated"),
    "short.png": (encoded(Image.effect_noise((99, 99), 50))[:900], "truncated|broken"),
    "short.bmp": (encoded(Image.fromarray(photograph()), "BMP")[:300], "truncated"),
    "short.webp": (encoded(Image.fromarray(photograph()), "WEBP")[:60], "."),
    "other.ppm": (encoded(Image.fromarray(photograph()), "PPM"), "not a JPEG, PNG"),
    "other.ico": (encoded(Image.fromarray(photograph()), "ICO"), "not a JPEG, PNG"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_with_the_reason(name: str) -> None:
    data, reason = BROKEN[name]
    with pytest.raises(PictureError, match=reason) as caught:
        decode(data, 16, name=name)
    assert isinstance(caught.value, DataError)
    assert caught.value.name == name
    assert str(caught.value) == f"{name} cannot be read: {caught.value.reason}."


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"gone\.png cannot be read: there is no such file"):
        decode(tmp_path / "gone.png", 16)


def test_a_text_bomb_in_a_png_is_refused() -> None:
    text = PngInfo()
    text.add_text("Comment", "a" * 80_000_000, zip=True)
    data = encoded(Image.new("L", (2, 2)), pnginfo=text)
    with pytest.raises(PictureError):
        decode(data, 8)


def seeds() -> list[bytes]:
    image = Image.fromarray(photograph())
    kinds = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]
    ramp = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20))
    return [*(encoded(image, kind) for kind in kinds), encoded(ramp), encoded(ramp, "TIFF")]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few bytes overwritten, mostly near the header where the lies are; perhaps cut short."""
    body = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        reach = rng.choice([32, 128, len(body)])
        body[rng.randrange(min(reach, len(body)))] = rng.randrange(256)
    return bytes(body[: rng.randrange(1, len(body))] if rng.random() < 0.3 else body)


def test_of_mutated_files_only_data_errors_escape() -> None:
    rng = random.Random(0)
    outcomes = {"read": 0, "refused": 0}
    originals = seeds()
    for trial in range(400):
        try:
            found = decode(mutated(originals[trial % len(originals)], rng), 16)
            assert found.shape == (16, 16, 3)
            outcomes["read"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50

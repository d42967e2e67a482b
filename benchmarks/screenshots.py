"""Pictures of reports for docs/: the top of a page, light and dark, side by side.

    python benchmarks/screenshots.py RUN/report.html docs/report-cifar100.jpg --at long-tail

Needs Chromium (CHROMIUM names one that is not at /usr/bin/chromium) and `pip install playwright`.
"""

import argparse
import io
import os
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright

Scheme = Literal["light", "dark"]

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTH, HEIGHT = 1280, 1000
SHOWN = 620


def shot(page: Path, scheme: Scheme, at: str) -> Image.Image:
    """What a reader sees at an anchor of the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        tab.goto(f"{page.resolve().as_uri()}#{at}")
        tab.wait_for_function("document.fonts.status === 'loaded'")
        content = tab.screenshot()
        browser.close()
    return Image.open(io.BytesIO(content)).convert("RGB")


def side_by_side(shots: list[Image.Image]) -> Image.Image:
    """Small enough for a repository."""
    height = SHOWN * HEIGHT // WIDTH
    sheet = Image.new("RGB", (SHOWN * len(shots), height))
    for number, picture in enumerate(shots):
        small = picture.resize((SHOWN, height), Image.Resampling.LANCZOS)
        sheet.paste(small, (SHOWN * number, 0))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--at", default="contents", help="Id of the section.")
    words = parser.parse_args()
    shots = [shot(words.page, scheme, words.at) for scheme in SCHEMES]
    side_by_side(shots).save(words.out, quality=80, optimize=True)


if __name__ == "__main__":
    main()

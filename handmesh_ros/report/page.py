"""One HTML file that needs no server and no network: `write_page`."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handmesh_ros.common.files import part_of

_HERE = Path(__file__).parent
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Kept:
    """What the page holds of one image besides its row in the data.

    Attributes:
        number: of the image.
        picture: JPEG in base64.
        hands: JSON of the hands, the truth and what the other method found.
    """

    number: int
    picture: str
    hands: str


def as_script(data: Any) -> str:
    """Return JSON that may stand inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page_parts(data: dict[str, Any], images: Sequence[Kept]) -> Iterator[str]:
    """Yield the page piece by piece: what is seen first comes first.

    The images come behind the script, which shows those that have arrived.

    Args:
        data: as the script reads it (web/src/main.js).
        images: in the order in which they are shown.
    """
    page = (_HERE / "page.html").read_text(encoding="utf-8")
    before, behind = page.split("<!-- images -->")
    for name, text in (
        ("title", html.escape(str(data["title"]))),
        ("style", (_HERE / "page.css").read_text(encoding="utf-8")),
        ("data", as_script(data)),
        ("script", (_HERE / "page.js").read_text(encoding="utf-8")),
    ):
        start, before = before.split(f"<!-- {name} -->")
        yield start
        yield text
    yield before
    for kept in images:
        yield (
            f'<script type="application/json" id="hands-{kept.number}">{kept.hands}</script>\n'
            f'<script type="text/plain" id="picture-{kept.number}">{kept.picture}</script>\n'
        )
    yield behind


def write_page(path: Path, data: dict[str, Any], images: Sequence[Kept]) -> None:
    """Write the page; others see the old or the new file, never a part.

    Args:
        path: of the file.
        data: see `page_parts`.
        images: see `page_parts`.

    Raises:
        OSError: it cannot be written; an older file stays.
    """
    partial = part_of(path)
    try:
        with partial.open("w", encoding="utf-8", newline="\n", buffering=_CHUNK) as file:
            file.writelines(page_parts(data, images))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

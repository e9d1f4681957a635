"""The figures of `handmesh bench` as a picture: one group of bars for each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handmesh_ros.errors import HandmeshError

WIDTH, ROW, GAP, MARGIN = 1000, 22, 34, 16
_COLORS = ((180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214), (189, 103, 148))
_INK, _GRID = (40, 40, 40), (225, 225, 225)


def draw_plot(report: dict[str, Any]) -> np.ndarray:
    """Draw the total times: bars to p50, thin lines to p95.

    Args:
        report: what `handmesh bench --json` writes.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    results = report["results"]
    titles = [scene["title"] for scene in results[0]["scenes"]]
    block = GAP + ROW * len(results)
    legend = ROW * (len(results) + 1)
    image = np.full((legend + block * len(titles) + 2 * MARGIN + ROW, WIDTH, 3), 255, np.uint8)
    machine = report["machine"]
    _write(image, f"{machine['processor']}, {machine['cores']} cores; total ms", MARGIN, ROW)
    for index, result in enumerate(results):
        y = ROW * (index + 2)
        cv2.rectangle(image, (MARGIN, y - 10), (MARGIN + 14, y), _color(index), cv2.FILLED)
        _write(image, f"{result['model_id']}, {result['backend']}", MARGIN + 22, y)
    left, right, top = MARGIN, WIDTH - 110, legend + MARGIN
    totals = [[scene["total_ms"] for scene in result["scenes"]] for result in results]
    longest = max(total["p95"] for row in totals for total in row)
    step = _round_step(longest / 5)
    scale = (right - left) / longest
    bottom = top + block * len(titles)
    for tick in range(int(longest / step) + 1):
        x = round(left + tick * step * scale)
        cv2.line(image, (x, top), (x, bottom), _GRID, 1)
        _write(image, f"{tick * step:g}", x, bottom + ROW)
    for group, title in enumerate(titles):
        y = top + group * block
        _write(image, title, left, y + GAP - 10)
        for index, row in enumerate(totals):
            p50, p95 = (row[group][name] for name in ("p50", "p95"))
            upper = y + GAP + index * ROW
            end, far = (round(left + value * scale) for value in (p50, p95))
            cv2.rectangle(image, (left, upper), (end, upper + ROW - 6), _color(index), cv2.FILLED)
            middle = upper + (ROW - 6) // 2
            cv2.line(image, (end, middle), (far, middle), _INK, 1)
            _write(image, f"{p50:.1f}", far + 6, upper + ROW - 8)
    return image


def write_plot(report: dict[str, Any], path: str | Path) -> None:
    """Write `draw_plot` as a file.

    Raises:
        HandmeshError: the file cannot be written.
    """
    try:
        written = cv2.imwrite(str(path), draw_plot(report))
    except cv2.error:
        written = False
    if not written:
        raise HandmeshError(f"Cannot write the plot {path}: give a .png that you can write to.")


def _write(image: np.ndarray, text: str, x: int, y: int) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(image, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)


def _color(index: int) -> tuple[int, int, int]:
    return _COLORS[index % len(_COLORS)]


def _round_step(value: float) -> float:
    """Return the next larger of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value))

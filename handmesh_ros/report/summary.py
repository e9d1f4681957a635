"""Tiles, plots and tables of the report page, as its script draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from handmesh_ros.hand.conventions import SIDES
from handmesh_ros.report.figures import Tally, histogram, in_order, size_group

Row = dict[str, Any]
"""What is known of one image; see `ReportCollector`."""

_KINDS = (("side", "Side"), ("size", "Size in the image"), ("source", "Source"))
_TRUTH_COLUMNS = (
    ("recall", "recall"),
    ("correct side", "side"),
    ("PCK@0.1", "pck@0.1"),
    ("PCK@0.2", "pck@0.2"),
)


def tiles_of(rows: Sequence[Row], tallies: Sequence[Tally]) -> list[dict[str, str]]:
    """Return the few figures at the top: label, value and a note.

    Args:
        rows: of all images.
        tallies: of our own method, then of the one that it is compared with; with truth.
    """
    sides = Counter(hand["side"] for row in rows for hand in row["hands"])
    times = [row["ms"] for row in rows]
    others = [row["otherMs"] for row in rows if "otherMs" in row]
    note = f"95 % within {np.percentile(times, 95):.0f} ms"
    if others:
        note = f"{tallies[1].name}: {np.median(others):.0f} ms"
    empty = sum(not row["hands"] for row in rows)
    tiles = [
        _tile("Images", f"{len(rows):,}", f"{empty:,} without a hand"),
        _tile("Hands", f"{sides.total():,}", f"{sides[0]:,} left, {sides[1]:,} right"),
        _tile("Median time", f"{np.median(times):.0f} ms", note),
    ]
    if not tallies[0].metrics.images:
        return tiles
    summaries = [tally.summary() for tally in tallies]
    for label, key, note in (
        ("Recall", "recall", f"{summaries[0]['images']:,} images labelled"),
        ("Precision", "precision", "finds that are hands"),
        ("PCK@0.1", "pck@0.1", "within a tenth of the hand"),
        ("Correct side", "handedness", "of the hands found"),
    ):
        if len(tallies) > 1:
            note = f"{tallies[1].name}: {_percent(summaries[1][key])}"
        tiles.append(_tile(label, _percent(summaries[0][key]), note))
    return tiles


def charts_of(rows: Sequence[Row], tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return the plots; arguments as of `tiles_of`."""
    charts: list[dict[str, Any]] = []
    if tallies[0].metrics.true_hands:
        for title, x, y, curve in (
            ("PCK", "error, part of the hand's size", "share of keypoints", Tally.pck_curve),
            ("Precision", "recall", "share of finds", Tally.precision_recall_curve),
        ):
            series = [{"name": tally.name, "points": curve(tally)} for tally in tallies]
            charts.append({"kind": "lines", "title": title, "x": x, "y": y, "series": series})
    scores = [hand["score"] for row in rows for hand in row["hands"]]
    times = [row["ms"] for row in rows]
    longest = max(1.0, 1.1 * float(np.percentile(times, 99)))
    for title, x, y, bins in (
        ("Scores", "score", "hands", histogram(scores, 0.0, 1.0, 20)),
        ("Time per image", "milliseconds", "images", histogram(times, 0.0, longest, 20)),
    ):
        charts.append({"kind": "bars", "title": title, "x": x, "y": y, "bins": bins})
    return charts


def tables_of(
    rows: Sequence[Row], tallies: Sequence[Tally], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the tables; arguments as of `tiles_of`, and the names of the sources."""
    tables = []
    for kind, title in _KINDS:
        if tallies[0].metrics.true_hands:
            table = _truth_table(kind, title, tallies)
        else:
            table = _score_table(kind, title, rows, sources)
        if kind != "source" or len(sources) > 1:
            tables.append(table)
    by_count: dict[int, list[float]] = {}
    for row in rows:
        by_count.setdefault(len(row["hands"]), []).append(row["ms"])
    cells = [
        [str(count), len(times), *(f"{np.percentile(times, part):.1f}" for part in (50, 95))]
        for count, times in sorted(by_count.items())
    ]
    columns = ["hands", "images", "median ms", "95 % ms"]
    tables.append({"title": "Time by number of hands", "columns": columns, "rows": cells})
    return tables


def _truth_table(kind: str, title: str, tallies: Sequence[Tally]) -> dict[str, Any]:
    compares = len(tallies) > 1
    columns = [kind, *(["by"] if compares else []), "true hands"]
    rows: list[list[Any]] = []
    groups = [tally.table(kind) for tally in tallies]
    for name in groups[0]:
        for tally, group in zip(tallies, groups, strict=True):
            cells = [_percent(group[name][key]) for _, key in _TRUTH_COLUMNS]
            method = [tally.name] if compares else []
            rows.append([name, *method, group[name]["hands"], *cells])
    return {
        "title": title,
        "columns": [*columns, *(column for column, _ in _TRUTH_COLUMNS)],
        "rows": rows,
    }


def _score_table(
    kind: str, title: str, rows: Sequence[Row], sources: Sequence[str]
) -> dict[str, Any]:
    scores: dict[str, list[float]] = {}
    for row in rows:
        for hand in row["hands"]:
            group = {
                "side": SIDES[hand["side"]],
                "size": size_group(np.array(hand["box"]), row["w"], row["h"]),
                "source": sources[row["s"]],
            }[kind]
            scores.setdefault(group, []).append(hand["score"])
    cells = [
        [name, len(scores[name]), f"{np.mean(scores[name]):.2f}"]
        for name in in_order(kind, set(scores))
    ]
    return {"title": title, "columns": [kind, "hands", "mean score"], "rows": cells}


def _tile(label: str, value: str, note: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _percent(value: float | int | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"

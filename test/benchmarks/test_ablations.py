"""`benchmarks/ablations.py`: what is left out, and the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="needs the extra [train]: run `make test`")

from handmesh_ros.training.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ablations():
    from benchmarks import ablations

    return ablations


def test_each_ablation_differs_from_everything_in_its_part_only(ablations):
    file = ROOT / "config" / "training" / "ablation.yaml"
    whole, *others = (TrainingConfig.load(file, a.overrides()) for a in ablations.ABLATIONS)
    assert [source.path for source in whole.data.train] == [
        "synthetic", "composites", "photographs",
    ]  # fmt: skip
    seen = {
        ablation.name: config
        for ablation, config in zip(ablations.ABLATIONS[1:], others, strict=True)
    }
    paths = {name: [s.path for s in config.data.train] for name, config in seen.items()}
    assert paths["without real composites"] == ["synthetic", "photographs"]
    assert paths["without 2D-only supervision"] == ["synthetic"]
    assert paths["without forearms"][0] == "synthetic_without_forearms"
    assert paths["without occluders"][0] == "synthetic_without_occluders"
    dark = seen["without the photometric stage's losses"]
    assert whole.losses.photometric > 0 and dark.losses.photometric == 0
    for config in others:
        same = replace(config, data=whole.data, losses=whole.losses)
        assert same == whole


def test_the_table_has_a_row_for_each_and_no_empty_columns(ablations):
    figures = {"ap50": 0.7123, "handedness": 0.9, "pck@0.2": None, "pa_mpjpe_mm": 12.34}
    flat = dict(figures, pa_mpjpe_mm=None)
    table = ablations.format_ablations(
        {"everything": {"synthetic": figures, "photographs": flat},
         "without forearms": {"synthetic": flat, "photographs": flat}}
    )  # fmt: skip
    header, _, *rows = table.splitlines()
    assert header.startswith("| trained | synthetic ap50 | synthetic handedness |")
    assert "synthetic pa_mpjpe" in header and "photographs pa_mpjpe" not in header
    assert rows[0].startswith("| everything | 0.712 | 0.900 | 12.3 |")
    assert "| without forearms | 0.712 | 0.900 | – |" in rows[1]

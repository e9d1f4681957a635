"""The RViz file that the launch file names."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RVIZ = ROOT / "config" / "handmesh.rviz"


def test_the_rviz_file_shows_what_the_node_publishes():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: run `make test`")
    displays = yaml.safe_load(RVIZ.read_text())["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert topics == {"/handmesh/markers", "/handmesh/overlay"}
    hands = next(display for display in displays if display["Name"] == "Hands")
    assert set(hands["Namespaces"]) == {"mesh", "skeleton", "joints", "label"}

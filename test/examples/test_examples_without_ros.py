"""The examples where ROS 2 is not: one sentence that says what to do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (["-m", "examples.teleop_wrist"], "teleop_wrist: .*source setup.bash"),
        (["examples/teleop_wrist.py"], "teleop_wrist: .*source setup.bash"),
        (["-m", "examples.retarget_dexterous_hand"], "retarget_.*: .*source setup.bash"),
        (["examples/retarget_dexterous_hand.py"], "retarget_.*: .*source setup.bash"),
        (["-m", "examples.demo"], "demo: .* start it by `make demo`"),
    ],
)
def test_what_is_missing_is_one_sentence(how, words):
    # Without site-packages (-S) and PYTHONPATH (-E) no rclpy is found.
    ended = subprocess.run(
        [sys.executable, "-S", "-E", *how], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1
    assert re.match(words, ended.stderr)

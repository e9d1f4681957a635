import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.retargeting import Robot, library_estimate, plane_fit, random_hands, report
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import LEFT, MIRROR, RIGHT

MODELS = os.environ.get("HANDMESH_DEX_URDF", "")


def test_random_hands_are_hands_of_a_side():
    pytest.importorskip("torch", reason="needs the extra [train]")
    right, left = random_hands(4, RIGHT), random_hands(4, LEFT)
    assert right.shape == (4, 21, 3) and not np.allclose(right[0], right[1])
    np.testing.assert_allclose(left, right @ MIRROR, atol=1e-6)
    for hand in right:
        assert 0.05 < np.linalg.norm(hand[9] - hand[0]) < 0.12


def test_missing_models_and_checkouts_are_one_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="give a checkout of .*dex-retargeting"):
        library_estimate(tmp_path)
    example = tmp_path / "example" / "vector_retargeting"
    example.mkdir(parents=True)
    (example / "single_hand_detector.py").write_text("def other(): pass\n")
    with pytest.raises(HandmeshError, match="has no estimate_frame_from_hand_points"):
        library_estimate(tmp_path)
    pytest.importorskip("dex_retargeting", reason="needs the extra [retarget]")
    with pytest.raises(HandmeshError, match="The model of allegro is not in"):
        Robot(tmp_path, "allegro", RIGHT, "vector")


@pytest.mark.skipif(not MODELS, reason="HANDMESH_DEX_URDF names no robots/hands of dex-urdf")
@pytest.mark.parametrize("robot", ["allegro", "shadow", "leap", "inspire"])
def test_the_library_s_frame_leaves_no_joint_error(robot):
    text = report(Path(MODELS), [robot], RIGHT, "vector", 3, plane_fit)
    before, after = (line.split("|")[4:7] for line in text.splitlines()[-2:])
    assert float(before[0]) > 1.0 and all(float(number) < 0.1 for number in after)

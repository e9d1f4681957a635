import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handmesh_ros.hand.conventions import LEFT, RIGHT
from handmesh_ros.teleop.openxr import INVENTED, OPENXR_JOINT_NAMES, to_openxr
from handmesh_ros.teleop.openxr_stream import OpenXRStream

SEEN = np.random.default_rng(5).uniform(-0.1, 0.1, (21, 3)) + [0.0, 0.0, 0.5]


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_a_hand_that_is_not_seen_is_the_one_seen_last(side):
    stream = OpenXRStream(side)
    assert stream(None, 0.0) is None, "nothing is made up before a hand was seen"
    seen, expected = stream(SEEN, 1.0), to_openxr(SEEN, side == RIGHT)
    np.testing.assert_array_equal(seen.joints.position, expected.position)
    assert seen.age_s == 0 and (seen.joints.tracked == ~INVENTED).all()
    held = stream(None, 1.5)
    for name in ("position", "orientation", "radius", "valid"):
        np.testing.assert_array_equal(getattr(held.joints, name), getattr(expected, name))
    assert held.age_s == pytest.approx(0.5) and not held.joints.tracked.any()
    assert stream(SEEN + 0.1, 2.0).age_s == 0
    np.testing.assert_allclose(
        stream(None, 2.1).joints.position[1] - expected.position[1], [0.1, -0.1, -0.1]
    )
    stream.reset()
    assert stream(None, 2.2) is None


def test_numbers_that_are_not_finite_are_no_hand():
    stream = OpenXRStream(RIGHT)
    stream(SEEN, 1.0)
    spoiled = SEEN.copy()
    spoiled[7, 1] = math.nan
    held = stream(spoiled, 1.1)
    assert np.isfinite(held.joints.position).all() and not held.joints.tracked.any()


def test_a_hold_that_ends_leaves_no_hand_until_it_is_seen():
    stream = OpenXRStream(RIGHT, hold_s=0.5)
    stream(SEEN, 1.0)
    assert stream(None, 1.5) is not None and stream(None, 1.6) is None
    assert stream(None, 0.2).age_s == 0, "a clock that goes back is no long wait"
    assert stream(SEEN, 1.7) is not None


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_once_seen_the_wrist_is_always_valid(seen):
    stream, was_seen = OpenXRStream(LEFT), False
    for index, now in enumerate(seen):
        hand = stream(SEEN if now else None, index / 30)
        was_seen |= now
        assert (hand is not None) == was_seen
        if hand is not None:
            assert hand.hand_input()["joint_valid"].all()


def test_the_fields_have_isaac_teleop_s_types():
    fields = OpenXRStream(RIGHT)(SEEN, 0.0).hand_input()
    assert {name: (value.dtype, value.shape) for name, value in fields.items()} == {
        "joint_positions": (np.float32, (26, 3)),
        "joint_orientations": (np.float32, (26, 4)),
        "joint_radii": (np.float32, (26,)),
        "joint_valid": (np.uint8, (26,)),
    }


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_isaac_teleop_takes_a_held_hand(side):
    reason = "needs isaacteleop"
    interface = pytest.importorskip("isaacteleop.retargeting_engine.interface", reason=reason)
    types = pytest.importorskip("isaacteleop.retargeting_engine.tensor_types", reason=reason)
    stream = OpenXRStream(side)
    stream(SEEN, 0.0)
    group = interface.TensorGroup(types.HandInput())
    fields = stream(None, 0.1).hand_input()
    assert [name.upper() for name in fields] == [index.name for index in types.HandInputIndex]
    for name, value in fields.items():
        group[types.HandInputIndex[name.upper()]] = value
    names = [index.name.lower() for index in types.HandJointIndex]
    assert names == list(OPENXR_JOINT_NAMES)
    assert np.from_dlpack(group[types.HandInputIndex.JOINT_VALID])[types.HandJointIndex.WRIST]

import numpy as np
import pytest

from benchmarks.scenes import STILL_NOISE, pose
from handmesh_ros.hand.conventions import LEFT, RIGHT
from handmesh_ros.hand.rotations import from_rotation_vectors, matrices
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.teleop.gestures import Gesture, GestureMemory, clarity, finger_bends
from handmesh_ros.training.synthesis.poses import PROTOTYPES, rotations_from_angles

TEMPLATE = HandTemplate.bundled()

SHOWN = {
    "open": Gesture.OPEN,
    "wide": Gesture.OPEN,
    "four": Gesture.OPEN,
    "flat": Gesture.OPEN,
    "pinch": Gesture.PINCH,
    "ok": Gesture.PINCH,
    "sign_f": Gesture.PINCH,
    "fist": Gesture.GRASP,
    "loose_fist": Gesture.GRASP,
    "grasp_power": Gesture.GRASP,
    "grasp_wide": Gesture.GRASP,
    "key_grip": Gesture.GRASP,
    "point": Gesture.POINT,
    "sign_l": Gesture.POINT,
    "relaxed": Gesture.NONE,
    "victory": Gesture.NONE,
    "horns": Gesture.NONE,
    "little_up": Gesture.NONE,
}


def watch(memory, joints, stamps_s, is_seen=True):
    """Show one hand for some time; return its last gesture and clarity."""
    for stamp_s in stamps_s:
        gesture, score = memory.update(joints[None], np.array([7]), np.array([is_seen]), stamp_s)
    return Gesture(gesture[0]), score[0]


@pytest.mark.parametrize("side", [LEFT, RIGHT])
@pytest.mark.parametrize(("name", "gesture"), SHOWN.items())
def test_named_poses_show_their_gesture(posed, name, gesture, side):
    found, score = watch(GestureMemory(), posed(name, side)[0], [0.0])
    assert found == gesture
    assert 0.4 < score <= 1.0


def test_a_fist_whose_thumb_meets_the_index_tip_is_no_pinch(posed):
    fist = posed("fist")[0].copy()
    fist[4] = fist[8] + [0.0, 0.0, 0.01]
    assert watch(GestureMemory(), fist, [0.0])[0] == Gesture.GRASP


def with_fingers_of(name, thumb_and_index):
    """Return the (5, 5) angles of a named pose with thumb and index finger of another."""
    return np.concatenate([PROTOTYPES[thumb_and_index][:2], PROTOTYPES[name][2:]])


def joints_of(angles, random=None, noise_rad=0.0):
    """Return the (21, 3) keypoints of a table of angles, every joint turned by some noise."""
    rotations = rotations_from_angles(angles, TEMPLATE.joint_template)
    if random is not None:
        noise = from_rotation_vectors(random.normal(0.0, noise_rad, (16, 3)))
        rotations = rotations @ matrices(noise)
    return pose(TEMPLATE, rotations, is_right=True)[0]


@pytest.mark.parametrize(
    ("others", "gesture"),
    [
        ("open", Gesture.PINCH),
        ("relaxed", Gesture.PINCH),
        ("soft", Gesture.PINCH),
        ("grasp_power", Gesture.GRASP),
        ("fist", Gesture.GRASP),
    ],
)
@pytest.mark.parametrize("tips", ["pinch", "ok", "sign_f"])
def test_a_pinch_is_one_until_all_other_fingers_are_closed(tips, others, gesture):
    joints = joints_of(with_fingers_of(others, tips))
    assert watch(GestureMemory(), joints, [0.0])[0] == gesture


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("others", ["pinch", "soft"])
@pytest.mark.parametrize("apart", ["open", "relaxed", "cup"])
def test_closing_and_opening_is_one_pinch(apart, others, seed):
    """With the network's noise and without any smoothing."""
    random, memory = np.random.default_rng(seed), GestureMemory()
    start, end = PROTOTYPES[apart], with_fingers_of(others, "pinch")
    times = np.arange(0.0, 2.4, 1 / 30)
    share = np.interp(times, [0.5, 0.8, 1.6, 1.9], [0.0, 1.0, 1.0, 0.0])
    pinched = []
    for stamp_s, closed in zip(times, share, strict=True):
        joints = joints_of(start + closed * (end - start), random, STILL_NOISE.rotation_rad)
        pinched.append(watch(memory, joints, [stamp_s])[0] == Gesture.PINCH)
    changes = times[1:][np.diff(pinched) != 0]
    assert len(changes) == 2, "it flickers, or there is none"
    assert 0.6 < changes[0] < 0.95 and 1.6 < changes[1] < 1.95


def test_how_near_the_tips_must_be_can_be_set(posed):
    wide = posed("relaxed")[0][None]
    assert clarity(wide)[0, Gesture.PINCH] < 0.1
    assert clarity(wide, pinch_ratio=0.4)[0, Gesture.PINCH] > 0.6


def test_size_place_and_orientation_do_not_matter(posed):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    hands = np.stack([posed(name)[0] for name in SHOWN])
    moved = 0.8 * hands @ turn.T + [0.1, -0.2, 0.7]
    np.testing.assert_allclose(clarity(moved), clarity(hands), atol=1e-4)
    assert clarity(np.zeros((0, 21, 3))).shape == (0, 5)


def test_bends_are_those_of_the_fingers(posed):
    open_hand, fist, point = (finger_bends(posed(name)[0]) for name in ("open", "fist", "point"))
    assert (open_hand[1:] < 30).all() and (fist[1:] > 200).all()
    assert point[1] < 30 and (point[2:] > 200).all()


def test_between_two_gestures_the_one_that_is_held_stays(posed):
    apart, meeting = posed("cup")[0], posed("pinch")[0]

    def gesture_at(share, memory, start_s):
        joints = apart + share * (meeting - apart)
        return watch(memory, joints, start_s + np.arange(0, 0.5, 1 / 30))[0]

    closing, opening = GestureMemory(), GestureMemory()
    shares = np.linspace(0, 1, 21)
    while_closing = [gesture_at(share, closing, k) for k, share in enumerate(shares)]
    while_opening = [gesture_at(share, opening, k) for k, share in enumerate(shares[::-1])][::-1]
    closed = [g == Gesture.PINCH for g in while_closing]
    opened = [g == Gesture.PINCH for g in while_opening]
    assert closed == sorted(closed) and opened == sorted(opened), "it flickers"
    assert 0 < sum(closed) < sum(opened) < len(shares)


def test_noise_about_the_limit_does_not_flicker(posed):
    random, memory = np.random.default_rng(3), GestureMemory()
    joints = posed("grasp_wide")[0]
    found = [
        watch(memory, joints + random.normal(0, 0.002, joints.shape), [k / 30])[0]
        for k in range(90)
    ]
    assert sum(a != b for a, b in zip(found[1:], found, strict=False)) <= 1


def test_one_wrong_image_changes_nothing(posed):
    memory, stamps = GestureMemory(), np.arange(0, 1, 1 / 30)
    assert watch(memory, posed("pinch")[0], stamps)[0] == Gesture.PINCH
    assert watch(memory, posed("open")[0], [1.0])[0] == Gesture.PINCH
    assert watch(memory, posed("pinch")[0], [1.03])[0] == Gesture.PINCH


def test_a_change_is_told_within_a_tenth_of_a_second(posed):
    memory, stamps = GestureMemory(), np.arange(0, 1, 1 / 30)
    watch(memory, posed("open")[0], stamps)
    assert watch(memory, posed("fist")[0], 1 + np.arange(3) / 30)[0] == Gesture.GRASP


def test_an_unseen_hand_keeps_its_gesture(posed):
    memory = GestureMemory()
    watch(memory, posed("point")[0], np.arange(0, 1, 1 / 30))
    found, _ = watch(memory, posed("open")[0], 1 + np.arange(20) / 30, is_seen=False)
    assert found == Gesture.POINT


def test_every_track_has_its_own_memory_and_rows_may_change_places(posed):
    memory = GestureMemory()
    fist, point = posed("fist")[0], posed("point")[0]
    for k in range(10):
        joints, ids = np.stack([fist, point]), np.array([1, 2])
        order = [k % 2, 1 - k % 2]
        found, _ = memory.update(joints[order], ids[order], np.ones(2, bool), k / 30)
        assert found[order].tolist() == [Gesture.GRASP, Gesture.POINT]
    found, _ = memory.update(point[None], np.array([3]), np.ones(1, bool), 0.4)
    assert found.tolist() == [Gesture.POINT], "a new track has no past"

"""Plausible hand poses: named prototypes, their mixtures, and limited random flexion.

A pose is first a table of joint angles in anatomical terms and then the parent-relative rotations
of the hand model. The table has five rows, thumb to little finger, and five columns in degrees:

- thumb: opposition (about the forearm's axis, out of the palm's plane towards its front),
  adduction (towards the index finger), then the flexion of CMC, MCP and IP;
- fingers: spread towards the thumb's side, roll about the finger, then the flexion of MCP, PIP
  and DIP.

Zero everywhere is the hand model's flat pose with spread fingers and the thumb out to the side.
"""

from __future__ import annotations

import numpy as np

FINGERS = ("thumb", "index", "middle", "ring", "little")
FIRST_MODEL_JOINT = (13, 1, 4, 10, 7)
"""Of each finger's three model joints the one nearest to the palm, in the order of `FINGERS`."""

LOW = np.array([[-30, -25, -30, -15, -20]] + [[-18, -6, -20, -3, -3]] * 4, np.float64)
"""(5, 5) least angles, degrees."""

HIGH = np.array(
    [
        [50, 48, 45, 50, 75],
        [14, 6, 90, 108, 70],
        [10, 6, 92, 110, 70],
        [20, 6, 92, 110, 70],
        [30, 6, 92, 105, 70],
    ],
    np.float64,
)
"""(5, 5) greatest angles, degrees; usual ranges of active motion."""

THUMB_HINGE = np.array([0.73, -0.53, 0.43]) / np.linalg.norm([0.73, -0.53, 0.43])
"""Flexion axis of the thumb in the flat pose: across the thumb, in the plane of its nail."""

THUMB_SIDE = np.array([0.06, -0.69, -0.72]) / np.linalg.norm([0.06, -0.69, -0.72])
"""Adduction axis of the thumb in the flat pose: into the nail."""

_TOGETHER = (0, -5, 1, 10, 17)
_WIDE = (0, 5, 0, -2, -4)
_CURLED = (82, 100, 58)
_SOFT = (28, 32, 18)
_STRAIGHT = (2, 3, 2)
_OUT = (-12, 0, -14, -2, -8)
_BESIDE = (-10, 26, 6, 4, 2)
_ACROSS = (21, 20, 20, 30, 44)
_PALM = (-4, 38, 26, 34, 44)


def _hand(
    thumb: tuple[float, ...],
    *fingers: tuple[float, float, float],
    spread: tuple[float, ...] = _TOGETHER,
) -> np.ndarray:
    """Return a (5, 5) table from the thumb's five angles and four fingers' three flexions."""
    rows = [(spread[i + 1], 0, *flexion) for i, flexion in enumerate(fingers)]
    return np.array([thumb, *rows], np.float64)


PROTOTYPES: dict[str, np.ndarray] = {
    "open": _hand((-4, 0, 0, 0, 0), _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, spread=(0,) * 5),
    "wide": _hand(_OUT, _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, spread=_WIDE),
    "flat": _hand(_BESIDE, _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT),
    "relaxed": _hand((2, 12, 4, 8, 12), (18, 22, 12), (24, 28, 14), (28, 32, 16), (30, 34, 16)),
    "soft": _hand((6, 16, 4, 10, 15), _SOFT, _SOFT, (32, 36, 20), (34, 38, 22)),
    "fist": _hand(_ACROSS, _CURLED, _CURLED, _CURLED, _CURLED),
    "loose_fist": _hand(
        (14, 18, 16, 22, 32), (60, 85, 45), (64, 88, 45), (66, 88, 45), (66, 85, 45)
    ),
    "fist_thumb_beside": _hand((2, 30, 14, 6, 6), _CURLED, _CURLED, _CURLED, _CURLED),
    "point": _hand(_ACROSS, _STRAIGHT, _CURLED, _CURLED, _CURLED),
    "point_thumb_out": _hand(_OUT, _STRAIGHT, _CURLED, _CURLED, _CURLED),
    "hooked_index": _hand(_ACROSS, (10, 80, 45), _CURLED, _CURLED, _CURLED),
    "pinch": _hand((34, 0, -5, 14, 26), (45, 56, 29), (36, 30, 18), (26, 26, 14), (16, 22, 12)),
    "ok": _hand(
        (37, -2, -9, 13, 34), (49, 55, 28), (12, 14, 8), (4, 8, 4), (0, 4, 3), spread=_WIDE
    ),
    "tripod": _hand((36, -2, 3, 12, 27), (48, 47, 22), (51, 51, 28), (60, 70, 35), (64, 76, 40)),
    "thumbs_up": _hand((-14, -8, -20, -8, -12), _CURLED, _CURLED, _CURLED, _CURLED),
    "victory": _hand(_ACROSS, _STRAIGHT, _STRAIGHT, _CURLED, _CURLED, spread=(0, 9, -7, 10, 17)),
    "two_together": _hand(_ACROSS, _STRAIGHT, _STRAIGHT, _CURLED, _CURLED),
    "three": _hand(_ACROSS, _STRAIGHT, _STRAIGHT, _STRAIGHT, _CURLED, spread=_WIDE),
    "three_thumb": _hand(_OUT, _STRAIGHT, _STRAIGHT, _CURLED, _CURLED, spread=(0, 6, -3, 10, 17)),
    "four": _hand(_PALM, _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, spread=_WIDE),
    "sign_b": _hand(_PALM, _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT),
    "sign_c": _hand((34, -6, -6, 12, 22), (38, 48, 30), (38, 50, 30), (38, 50, 30), (38, 48, 30)),
    "sign_e": _hand(
        (12, 30, 26, 36, 50), (42, 105, 62), (42, 106, 62), (42, 106, 62), (42, 104, 62)
    ),
    "sign_f": _hand(
        (34, -2, -12, 20, 31), (47, 64, 30), (4, 8, 4), (0, 6, 3), (-2, 4, 3), spread=_WIDE
    ),
    "sign_ily": _hand(_OUT, _STRAIGHT, _CURLED, _CURLED, _STRAIGHT, spread=(0, 4, 1, 8, 6)),
    "horns": _hand(_ACROSS, _STRAIGHT, _CURLED, _CURLED, _STRAIGHT, spread=(0, 4, 1, 8, 6)),
    "sign_l": _hand((-14, -4, -18, -4, -10), _STRAIGHT, _CURLED, _CURLED, _CURLED),
    "sign_y": _hand(_OUT, _CURLED, _CURLED, _CURLED, _STRAIGHT, spread=(0, -5, 1, 6, -4)),
    "little_up": _hand(_ACROSS, _CURLED, _CURLED, _CURLED, _STRAIGHT, spread=(0, -5, 1, 8, 4)),
    "sign_v_bent": _hand(_ACROSS, (8, 72, 42), (8, 74, 42), _CURLED, _CURLED, spread=_WIDE),
    "claw": _hand((8, -4, -4, 18, 34), (12, 62, 40), (12, 64, 40), (12, 64, 40), (12, 62, 40)),
    "table": _hand(_BESIDE, (78, 6, 4), (80, 6, 4), (80, 6, 4), (80, 6, 4)),
    "grasp_power": _hand(
        (32, 4, 0, 18, 30), (52, 58, 32), (54, 60, 34), (56, 62, 34), (58, 62, 34)
    ),
    "grasp_wide": _hand(
        (30, -8, -14, 10, 18), (26, 36, 22), (28, 38, 22), (30, 38, 22), (32, 38, 22)
    ),
    "grasp_plate": _hand(
        (32, 4, 4, 14, 24), (58, 22, 12), (60, 22, 12), (60, 22, 12), (58, 22, 12)
    ),
    "key_grip": _hand((0, 34, 18, 10, 22), (44, 80, 40), (60, 86, 44), (66, 88, 46), (68, 88, 46)),
    "cup": _hand((14, 14, 4, 10, 14), (22, 22, 14), (24, 22, 14), (26, 24, 14), (28, 24, 14)),
}
"""Name to a (5, 5) table of angles, degrees."""

COMMON = ("open", "relaxed", "soft", "flat", "fist", "point", "pinch", "grasp_power", "cup")
"""Prototypes that are drawn more often than the others."""


def random_angles(rng: np.random.Generator) -> np.ndarray:
    """Draw a (5, 5) table of angles in degrees, inside the limits.

    Half are prototypes with noise, a quarter stand between two prototypes (per hand or per
    finger), the rest have every finger flexed at random.
    """
    kind = rng.random()
    if kind < 0.5:
        angles = _draw_prototype(rng).copy()
    elif kind < 0.78:
        first, second = _draw_prototype(rng), _draw_prototype(rng)
        mix = rng.random() if rng.random() < 0.6 else rng.random((5, 1))
        angles = first + mix * (second - first)
    else:
        angles = _random_flexion(rng)
    angles = angles + rng.normal(size=(5, 5)) * np.array(
        [[6, 6, 6, 6, 8]] + [[2.5, 2, 7, 7, 5]] * 4
    )
    return np.clip(angles, LOW, HIGH)


def _draw_prototype(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.35:
        return PROTOTYPES[COMMON[rng.integers(len(COMMON))]]
    names = list(PROTOTYPES)
    return PROTOTYPES[names[rng.integers(len(names))]]


def _random_flexion(rng: np.random.Generator) -> np.ndarray:
    """Flex every finger on its own; neighbours are correlated, DIP follows PIP (about 0.6)."""
    together = rng.random()
    angles = np.zeros((5, 5))
    curls = np.clip(together + rng.normal(0, 0.25, 4), 0, 1)
    pip = np.clip(curls + rng.normal(0, 0.2, 4), 0, 1) * 100
    angles[1:, 2] = np.clip(curls + rng.normal(0, 0.2, 4), -0.15, 1) * 85
    angles[1:, 3] = pip
    angles[1:, 4] = pip * rng.uniform(0.4, 0.7)
    angles[1:, 0] = np.array(_TOGETHER[1:]) * np.clip(rng.uniform(-0.3, 1) + curls * 0.5, -0.3, 1)
    angles[0] = rng.uniform(LOW[0] * 0.7, HIGH[0] * 0.8)
    return angles


def rotations_from_angles(angles: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Turn a table of angles into the rotations of the hand model.

    Args:
        angles: (5, 5) degrees, as the module says.
        joints: (16, 3) joints of the flat right hand (`joint_template`), metres.

    Returns:
        (16, 3, 3) rotations relative to the parent, model joint order; the wrist's is identity.
    """
    rotations = np.tile(np.eye(3), (16, 1, 1))
    radians = np.deg2rad(angles)
    for finger, first in enumerate(FIRST_MODEL_JOINT):
        turn, second, base, middle, end = radians[finger]
        if finger == 0:
            hinge, side, other = THUMB_HINGE, np.array([1.0, 0.0, 0.0]), THUMB_SIDE
        else:
            other = joints[first + 2] - joints[first]
            other /= np.linalg.norm(other)
            hinge, side = np.cross(other, [0.0, -1.0, 0.0]), np.array([0.0, 1.0, 0.0])
            hinge /= np.linalg.norm(hinge)
        rotations[first] = (
            axis_angle(side, turn) @ axis_angle(other, second) @ axis_angle(hinge, base)
        )
        rotations[first + 1] = axis_angle(hinge, middle)
        rotations[first + 2] = axis_angle(hinge, end)
    return rotations


def axis_angle(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return the (3, 3) rotation about a unit axis by an angle in radians (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def sample_pose(
    rng: np.random.Generator, joints: np.ndarray, fingertips: np.ndarray
) -> np.ndarray:
    """Draw a pose in which the fingers do not run through each other or the palm.

    Args:
        rng: source of chance.
        joints: (16, 3) joints of the flat right hand, metres.
        fingertips: (5, 3) tips thumb to little finger of the same, metres.

    Returns:
        (16, 3, 3) parent-relative rotations; the wrist's is identity. Of a few draws the first
        one free of penetration, or the one with the least.
    """
    best, least = None, np.inf
    for _ in range(8):
        rotations = rotations_from_angles(random_angles(rng), joints)
        depth = penetration(rotations, joints, fingertips)
        if depth < least:
            best, least = rotations, depth
        if depth < ALLOWED_PENETRATION:
            break
    assert best is not None
    return best


ALLOWED_PENETRATION = 0.004
"""Metres by which the flesh of two fingers may overlap: soft parts give way."""

_BALLS = np.linspace(0.15, 1.0, 4)
_RADII = np.array([[12.0, 9.5, 8.0]] + [[8.5, 7.5, 6.5]] * 4) * 1e-3
_PALM_RADIUS, _PALM_GIVES = 0.010, 0.003


def penetration(rotations: np.ndarray, joints: np.ndarray, fingertips: np.ndarray) -> float:
    """Return how deep fingers run into each other or the palm, metres, 0 where they do not.

    Bones are rows of balls with the thickness of a finger; neighbours at a finger's root do not
    count. Arguments are those of `sample_pose` and what it returns.
    """
    scale = np.linalg.norm(joints[FIRST_MODEL_JOINT[2]]) / 0.1
    centres, radii, owners = [], [], []
    for finger, first in enumerate(FIRST_MODEL_JOINT):
        chain = [*joints[first : first + 3], fingertips[finger]]
        turn, points = np.eye(3), [joints[first]]
        for part in range(3):
            turn = turn @ rotations[first + part]
            points.append(points[-1] + turn @ (chain[part + 1] - chain[part]))
        for part in range(3):
            if part == 0 and finger > 0:
                continue
            reach = _BALLS * (0.85 if part == 2 else 1.0)
            step = points[part + 1] - points[part]
            centres.append(points[part] + reach[:, None] * step)
            radii.append(np.full(len(reach), _RADII[finger, part]))
            owners.append(np.full(len(reach), 10 * finger + part))
    knuckles = joints[list(FIRST_MODEL_JOINT[1:])]
    palm = (np.array([0.4, 0.6, 0.8, 0.95])[:, None, None] * knuckles).reshape(-1, 3)
    at, size, owner = np.concatenate(centres), np.concatenate(radii), np.concatenate(owners)
    distance = np.linalg.norm(at[:, None] - at[None], axis=-1)
    overlap = (size[:, None] + size[None]) * scale - distance
    overlap[owner[:, None] // 10 == owner[None] // 10] = 0.0
    near_palm = owner % 10 == 2
    to_palm = np.linalg.norm(at[near_palm][:, None] - palm[None], axis=-1)
    into_palm = (size[near_palm, None] + _PALM_RADIUS) * scale - to_palm
    return float(max(overlap.max(), into_palm.max() - _PALM_GIVES, 0.0))

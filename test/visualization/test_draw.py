from __future__ import annotations

import numpy as np
import pytest

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_FROM_MODEL_JOINT
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.preprocess import intrinsics_from_fov
from handmesh_ros.visualization.draw import SIDE_COLORS, draw_hands, project

TEMPLATE = HandTemplate.bundled()
# Fingers (-x) up (-y), the back of the hand (+y) towards the camera (-z).
UPRIGHT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def flat_hands(*placed, size=(480, 640)):
    """Flat hands from (is_right, wrist) pairs, seen by the assumed camera."""
    intrinsics = intrinsics_from_fov(*size)
    wrist = TEMPLATE.joint_template[0]
    tips = TEMPLATE.template[TEMPLATE.fingertips]
    keypoints = np.array(
        [
            TEMPLATE.joint_template[joint] if joint >= 0 else tips[index // 4 - 1]
            for index, joint in enumerate(KEYPOINT_FROM_MODEL_JOINT)
        ]
    )
    count = len(placed)
    sides = np.array([[1.0 if is_right else -1.0, 1.0, 1.0] for is_right, _ in placed])
    wrists = np.array([position for _, position in placed])[:, None]
    vertices = ((TEMPLATE.template - wrist) @ UPRIGHT.T) * sides[:, None] + wrists
    joints = ((keypoints - wrist) @ UPRIGHT.T) * sides[:, None] + wrists
    pixels = project(vertices, intrinsics)
    return Hands(
        score=np.linspace(0.9, 0.5, count, dtype=np.float32),
        right_probability=np.array([0.9 * is_right for is_right, _ in placed], np.float32),
        box=np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1),
        keypoints_2d=project(joints, intrinsics),
        joints=joints,
        vertices=vertices,
        rotations=np.tile(np.eye(3), (count, 16, 1, 1)),
        shape=np.zeros((count, 10)),
        translation=wrists[:, 0],
        colors=np.full_like(vertices, 0.5),
        scale_source=np.zeros(count, np.uint8),
    )


def grey(size=(480, 640)):
    return np.full((*size, 3), 100, np.uint8)


def drawn_with_mesh_only(hands, size=(480, 640), **options):
    return draw_hands(
        grey(size),
        hands,
        faces=TEMPLATE.closed_faces,
        skeleton=False,
        labels=False,
        mesh_opacity=1.0,
        **options,
    )


def test_input_stays_untouched_and_no_hands_draw_nothing():
    image = grey()
    np.testing.assert_array_equal(
        draw_hands(image, Hands.empty(), faces=TEMPLATE.closed_faces), image
    )
    draw_hands(image, flat_hands((True, (0, 0.1, 0.5))), faces=TEMPLATE.closed_faces)
    assert (image == 100).all()


@pytest.mark.parametrize("is_right", [True, False])
def test_mesh_covers_its_silhouette_in_the_colour_of_its_side(is_right):
    hands = flat_hands((is_right, (0, 0.1, 0.5)))
    changed = (drawn_with_mesh_only(hands) != 100).any(axis=2)
    rows, columns = np.nonzero(changed)
    found = [columns.min(), rows.min(), columns.max(), rows.max()]
    np.testing.assert_allclose(found, hands.box[0], atol=2)
    palm = np.rint(hands.keypoints_2d[0, [0, 5, 17]].mean(axis=0)).astype(int)
    color = drawn_with_mesh_only(hands)[palm[1], palm[0]].astype(float)
    expected = np.array(SIDE_COLORS[is_right], float)
    np.testing.assert_allclose(color / color.sum(), expected / expected.sum(), atol=0.02)


@pytest.mark.parametrize("size", [(480, 640), (960, 1280)])  # coarse and fine triangles
def test_a_mesh_in_the_colours_of_its_skin(size):
    hands = flat_hands((True, (0.0, 0.1, 0.4)), size=size)
    skin = np.broadcast_to(np.array([0.8, 0.5, 0.3], np.float32), hands.colors.shape)
    drawn = draw_hands(
        np.zeros((*size, 3), np.uint8),
        hands.replace(colors=skin),
        faces=TEMPLATE.closed_faces,
        skeleton=False,
        labels=False,
        mesh_opacity=1.0,
        texture=True,
    )
    inside = drawn[drawn.sum(axis=2) > 250].astype(float)
    assert len(inside) > 1000
    shares = inside / inside.max(axis=1, keepdims=True)
    np.testing.assert_allclose(np.median(shares, axis=0), [1, 0.625, 0.375], atol=0.02)


def test_left_hand_is_the_mirror_image_of_the_right_one():
    size = (200, 301)
    right = drawn_with_mesh_only(flat_hands((True, (0, 0.1, 0.5)), size=size), size)
    left = drawn_with_mesh_only(flat_hands((False, (0, 0.1, 0.5)), size=size), size)
    covered_right, covered_left = (right != 100).any(axis=2), (left != 100).any(axis=2)
    assert (covered_right != covered_left[:, ::-1]).mean() < 0.005


def test_nearer_hand_hides_the_farther_one():
    hands = flat_hands((True, (0, 0.1, 0.7)), (False, (0, 0.1, 0.5)))
    wrist = np.rint(hands.keypoints_2d[1, 9]).astype(int)
    color = drawn_with_mesh_only(hands)[wrist[1], wrist[0]].astype(int)
    assert color[2] > color[0]


def test_hands_behind_the_camera_or_outside_the_image_do_no_harm():
    hands = flat_hands((True, (0, 0, -0.5)), (False, (50.0, 0, 0.5)), (True, (0, 0, 0.01)))
    assert draw_hands(grey(), hands, faces=TEMPLATE.closed_faces).shape == (480, 640, 3)


@pytest.mark.parametrize("size", [(1, 1), (24, 32), (120, 160), (2000, 1500)])
def test_any_size_is_drawn(size):
    hands = flat_hands((True, (0, 0.1, 0.5)), size=size)
    drawn = draw_hands(grey(size), hands, faces=TEMPLATE.closed_faces)
    assert drawn.shape == (*size, 3)
    assert (drawn != 100).any()


def test_skeleton_and_label_need_no_hand_model():
    hands = flat_hands((True, (0, 0.1, 0.5)))
    assert (draw_hands(grey(), hands) != 100).any()
    skeleton = draw_hands(grey(), hands, labels=False)
    wrist = np.rint(hands.keypoints_2d[0, 0]).astype(int)
    assert (skeleton[wrist[1], wrist[0]] == 255).all()


def test_grey_image_is_refused():
    with pytest.raises(HandmeshError, match="RGB"):
        draw_hands(np.zeros((4, 4), np.uint8), Hands.empty())

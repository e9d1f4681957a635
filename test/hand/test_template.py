from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.boundary import boundary_cap
from handmesh_ros.hand.conventions import (
    KEYPOINT_FROM_MODEL_JOINT,
    LEFT,
    MIRROR,
    RIGHT,
)
from handmesh_ros.hand.template import HandTemplate

HAND = HandTemplate.bundled()
RENDER = HandTemplate.bundled_render()
BOTH = pytest.mark.parametrize("hand", [HAND, RENDER], ids=["network", "render"])


def volume(vertices, faces):
    a, b, c = vertices[faces].astype(np.float64).transpose(1, 0, 2)
    return np.einsum("fi,fi->", a, np.cross(b, c)) / 6


def finger_lengths(hand, shape):
    joints = hand.joint_template + hand.joint_shape_dirs @ shape
    tips = (hand.template + hand.shape_dirs @ shape)[hand.fingertips]
    joint_of_first = [KEYPOINT_FROM_MODEL_JOINT[1 + 4 * finger] for finger in range(5)]
    return np.linalg.norm(tips - joints[joint_of_first], axis=1)


def test_sizes():
    assert (HAND.name, HAND.vertex_count, HAND.shape_count) == ("open_hand", 778, 10)
    assert RENDER.hand_vertex_count == 1609 < RENDER.vertex_count
    assert HAND.weights.shape == (778, 16) and RENDER.weights.shape[1] == 17
    assert len(HAND.sha256) == 64 and HAND.sha256 != RENDER.sha256


@BOTH
def test_the_closed_mesh_is_watertight_and_wound_outwards(hand):
    faces = hand.closed_faces
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    assert len(directed) == len(edges)
    assert all((b, a) in directed for a, b in directed)
    assert volume(hand.template, faces) > 2e-4
    mirrored = (hand.template @ MIRROR).astype(np.float32)
    assert volume(mirrored, hand.faces_for(LEFT, closed=True)) > 2e-4
    assert hand.faces_for(RIGHT) is hand.faces


def test_a_side_that_is_none_is_refused():
    with pytest.raises(HandmeshError, match="side"):
        HAND.faces_for(2)


@BOTH
def test_weights_are_sparse_and_sum_to_one(hand):
    np.testing.assert_allclose(hand.weights.sum(1), 1.0, atol=1e-5)
    assert hand.weights.min() >= 0
    assert (hand.weights > 0).sum(1).max() <= 4


def test_both_meshes_share_joints_and_shape_directions():
    np.testing.assert_array_equal(HAND.joint_template, RENDER.joint_template)
    np.testing.assert_array_equal(HAND.joint_shape_dirs, RENDER.joint_shape_dirs)
    np.testing.assert_array_equal(HAND.mean_pose, RENDER.mean_pose)

    def on_render(values):
        return np.einsum("vk,vk...->v...", HAND.render_barycentric, values[HAND.render_triangle])

    np.testing.assert_allclose(on_render(RENDER.template), HAND.template, atol=1e-6)
    np.testing.assert_allclose(on_render(RENDER.shape_dirs), HAND.shape_dirs, atol=1e-6)
    apart = np.linalg.norm(RENDER.template[HAND.render_vertex] - HAND.template, axis=1)
    assert apart.mean() < 1e-3 and apart.max() < 1e-2


@BOTH
def test_regressed_joints_agree_with_the_stored_ones(hand):
    regressed = hand.joint_regressor @ hand.template
    assert np.linalg.norm(regressed - hand.joint_template, axis=1).max() < 1e-3
    np.testing.assert_allclose(hand.joint_regressor.sum(1), 1.0, atol=1e-3)


@BOTH
def test_the_wrist_is_the_origin_for_every_shape(hand):
    assert not hand.joint_template[0].any()
    assert not hand.joint_shape_dirs[0].any()


def test_axes_are_those_of_mano():
    joints = HAND.joint_template
    assert joints[4, 0] < -0.08  # fingers along -x
    assert joints[13, 2] > 0.01 > joints[7, 2]  # thumb at +z, little finger at -z
    assert HAND.template[HAND.fingertips[0], 1] < -0.02  # the thumb on the palm's side, -y


def test_the_mean_hand_has_the_size_of_adults():
    length = -HAND.template[:, 0].min()
    assert 0.180 < length < 0.200
    knuckles = HAND.joint_template[[1, 7]]
    breadth = np.linalg.norm(knuckles[0] - knuckles[1])
    assert 0.055 < breadth < 0.085
    thumb, index, middle, ring, little = finger_lengths(HAND, np.zeros(10))
    assert middle > max(index, ring) > min(index, ring) > little
    assert 0.075 < middle < 0.105


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-2, 2), min_size=10, max_size=10))
def test_every_shape_within_two_deviations_is_a_hand(shape):
    shape = np.array(shape)
    vertices = HAND.template + HAND.shape_dirs @ shape
    assert 0.14 < -vertices[:, 0].min() < 0.25
    assert volume(vertices, HAND.closed_faces) > 1e-4
    _, index, middle, _, little = finger_lengths(HAND, shape)
    assert middle > index > little


def test_the_first_shape_direction_is_size():
    small, large = (HAND.template + step * HAND.shape_dirs[:, :, 0] for step in (-1, 1))
    assert -large[:, 0].min() > 1.08 * -small[:, 0].min()


def test_positive_flexion_closes_the_fingers():
    """The four fingers' axes are those about which -x turns towards the palm, -y."""
    along = HAND.joint_template[[3, 6, 9, 12]] - HAND.joint_template[[1, 4, 7, 10]]
    towards = np.cross(HAND.flexion_axes[[0, 3, 6, 9]], along)
    assert (towards[:, 1] < 0).all()
    np.testing.assert_allclose(np.linalg.norm(HAND.flexion_axes, axis=1), 1.0, atol=1e-5)


def test_texture_coordinates_cover_the_hand_square():
    u, v = RENDER.uv[RENDER.uv_faces[: RENDER.hand_face_count]].reshape(-1, 2).T
    u0, v0, size = RENDER.hand_uv_window
    assert u.min() >= u0 - 1e-3 and v.min() >= v0 - 1e-3
    assert u.max() <= u0 + size + 1e-3 and v.max() <= v0 + size + 1e-3
    assert len(RENDER.uv_faces) == len(RENDER.faces)


@BOTH
def test_skin_regions_lie_where_they_should(hand):
    regions = dict(zip(hand.skin_region_names, hand.skin_regions.T, strict=True))
    assert all(0 <= mask.min() and mask.max() <= 1.001 for mask in regions.values())
    nail = regions["nail"] > 0.5
    assert nail.sum() >= 10
    assert hand.template[nail, 0].max() < -0.08
    palm = regions["palm"] > 0.9
    assert hand.template[palm, 1].mean() < hand.template[~palm, 1].mean()


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(HandmeshError, match="nowhere.npz"):
        HandTemplate.load(tmp_path / "nowhere.npz")


def test_damaged_and_foreign_files_are_one_sentence(tmp_path):
    path = tmp_path / "hand.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(HandmeshError, match="cannot be read"):
        HandTemplate.load(path)
    np.savez(path, template=np.zeros((4, 3)))
    with pytest.raises(HandmeshError, match="lacks"):
        HandTemplate.load(path)
    np.savez(path, template=np.array({"a": 1}, dtype=object))
    with pytest.raises(HandmeshError, match="cannot be read"):
        HandTemplate.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": HAND.weights[:5]}, "weights has shape"),
        ({"weights": 2 * HAND.weights}, "sum to one"),
        ({"template": np.full_like(HAND.template, np.nan)}, "not finite"),
        ({"faces": HAND.faces + 100}, "do not exist"),
        ({"faces": HAND.faces.ravel()}, "faces has shape"),
        ({"parents": HAND.parents[::-1].copy()}, "sixteen"),
        ({"fingertips": np.array([1, 2])}, "fingertips has shape"),
    ],
)
def test_inconsistent_arrays_are_refused(change, words):
    with pytest.raises(HandmeshError, match=words):
        replace(HAND, **change)


def test_only_one_loop_can_be_capped():
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    with pytest.raises(HandmeshError, match="closed"):
        boundary_cap(tetrahedron)
    assert len(boundary_cap(tetrahedron[:3])) == 1
    two = np.concatenate([tetrahedron[:3], tetrahedron[:3] + 4])
    with pytest.raises(HandmeshError, match="more"):
        boundary_cap(two)

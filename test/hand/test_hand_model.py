import numpy as np
import pytest
import torch

from handmesh_ros.hand.conventions import (
    FINGERTIP_KEYPOINTS,
    MIRROR,
    THUMB_TIP,
    operator_frame,
)
from handmesh_ros.hand.model import (
    HandModel,
    axis_angle_to_matrix,
    mirror_rotations,
    rotation_from_6d,
)
from handmesh_ros.hand.template import HandTemplate

HAND = HandTemplate.bundled()
RENDER = HandTemplate.bundled_render()
MODEL = HandModel(HAND)


def flat_hands(count, rotation=None):
    rotations = torch.eye(3).repeat(count, 16, 1, 1)
    if rotation is not None:
        rotations[:, 0] = torch.as_tensor(rotation, dtype=torch.float32)
    return rotations


def random_hands(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    angles = 0.5 * torch.randn(count, 16, 3, generator=generator)
    return axis_angle_to_matrix(angles), torch.randn(count, 10, generator=generator)


def bend(joint, angle):
    rotations = flat_hands(1)
    axis = torch.from_numpy(HAND.flexion_axes[joint - 1])
    rotations[0, joint] = axis_angle_to_matrix(angle * axis)
    return rotations


def test_the_flat_hand_is_the_template():
    vertices, keypoints = MODEL(flat_hands(2), torch.zeros(2, 10), torch.tensor([1.0, 0.0]))
    np.testing.assert_allclose(vertices[0], HAND.template, atol=1e-6)
    np.testing.assert_allclose(vertices[1], HAND.template @ MIRROR, atol=1e-6)
    assert not keypoints[:, 0].any()


def test_every_fingertip_continues_its_finger():
    _, keypoints = MODEL(flat_hands(1), torch.zeros(1, 10), torch.ones(1))
    for tip in FINGERTIP_KEYPOINTS:
        last, before = (keypoints[0, tip - k] - keypoints[0, tip - k - 1] for k in (0, 1))
        assert torch.cosine_similarity(last, before, dim=0) > 0.9


@pytest.mark.parametrize(("first_joint", "tip"), [(13, 4), (1, 8), (4, 12), (10, 16), (7, 20)])
def test_bending_a_joint_moves_its_own_finger_only(first_joint, tip):
    shape, right = torch.zeros(1, 10), torch.ones(1)
    _, flat = MODEL(flat_hands(1), shape, right)
    _, bent = MODEL(bend(first_joint, 0.8), shape, right)
    moved = (bent - flat).norm(dim=-1)[0]
    finger = torch.arange(tip - 2, tip + 1)
    assert moved[finger].min() > 5e-3
    assert moved.sum() - moved[finger].sum() < 1e-5
    if tip != THUMB_TIP:
        assert bent[0, tip, 1] < flat[0, tip, 1] - 0.02  # towards the palm


def test_the_wrist_turns_the_whole_hand_about_the_origin():
    rotations, shape = random_hands(3)
    turn = axis_angle_to_matrix(torch.tensor([0.3, -1.0, 2.0]))
    turned = rotations.clone()
    turned[:, 0] = turn @ rotations[:, 0]
    before, after = (MODEL(r, shape, torch.ones(3)) for r in (rotations, turned))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a @ turn.T, b, atol=1e-6, rtol=0)


def test_left_hands_are_mirror_images():
    rotations, shape = random_hands(4)
    right, left = torch.ones(4), torch.zeros(4)
    mirrored = mirror_rotations(rotations, left)
    torch.testing.assert_close(mirror_rotations(mirrored, left), rotations)
    torch.testing.assert_close(mirror_rotations(rotations, right), rotations)
    mirror = torch.from_numpy(MIRROR).float()
    for a, b in zip(MODEL(rotations, shape, right), MODEL(mirrored, shape, left), strict=True):
        torch.testing.assert_close(a @ mirror, b, atol=1e-6, rtol=0)


def test_sides_may_be_booleans_and_mixed():
    rotations, shape = random_hands(2)
    mixed, _ = MODEL(rotations, shape, torch.tensor([True, False]))
    alone, _ = MODEL(rotations[1:], shape[1:], torch.zeros(1))
    torch.testing.assert_close(mixed[1:], alone)


def test_vertex_normals_point_outwards_on_both_sides():
    rotations, shape = flat_hands(2), torch.zeros(2, 10)
    vertices, _ = MODEL(rotations, shape, torch.tensor([0.0, 1.0]))
    for side in (0, 1):
        a, b, c = vertices[side].double().numpy()[HAND.faces_for(side, closed=True)].swapaxes(0, 1)
        assert np.einsum("fi,fi->", a, np.cross(b, c)) > 0


@pytest.mark.parametrize("right", [True, False])
def test_operator_frame_of_an_open_hand(right):
    """An upright hand, its palm towards the camera: X to the viewer, Z up; Y to the right."""
    upright = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])  # x -> down, y (back) -> away
    if not right:
        upright = MIRROR @ upright @ MIRROR
    vertices, keypoints = MODEL(flat_hands(1, upright), torch.zeros(1, 10), torch.tensor([right]))
    frame = operator_frame(keypoints[0].numpy(), right)
    np.testing.assert_allclose(np.linalg.det(frame), 1.0, atol=1e-6)
    np.testing.assert_allclose(frame[:, 2], [0, -1, 0], atol=0.02)
    np.testing.assert_allclose(frame[:, 0], [0, 0, -1], atol=0.1)
    thumb_side = 1 if right else -1
    assert keypoints[0, THUMB_TIP, 0] * thumb_side > 0.03
    np.testing.assert_allclose(frame[:, 1], [1, 0, 0], atol=0.1)
    fingers = torch.tensor(FINGERTIP_KEYPOINTS[1:])
    assert vertices[0, :, 1].min() < -0.17 and (keypoints[0, fingers, 1] < -0.12).all()


def test_the_render_mesh_is_posed_like_the_network_mesh():
    rotations, shape = random_hands(3)
    right = torch.tensor([1.0, 0.0, 1.0])
    vertices, keypoints = MODEL(rotations, shape, right)
    dense, dense_keypoints = HandModel(RENDER)(rotations, shape, right)
    inner = [k for k in range(21) if k not in FINGERTIP_KEYPOINTS]
    torch.testing.assert_close(keypoints[:, inner], dense_keypoints[:, inner])
    triangles = torch.from_numpy(HAND.render_triangle).long()
    corners = dense[:, triangles]
    on_surface = (torch.from_numpy(HAND.render_barycentric)[..., None] * corners).sum(2)
    assert (on_surface - vertices).norm(dim=-1).mean() < 5e-4


def test_the_forearm_bends_about_the_wrist():
    model, shape = HandModel(RENDER), torch.zeros(2, 10)
    sides = torch.tensor([1.0, 0.0])
    bent = axis_angle_to_matrix(torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]]))
    straight, _ = model(flat_hands(2), shape, sides)
    turned, _ = model(flat_hands(2), shape, sides, bent)
    elbow = torch.from_numpy(RENDER.weights[:, 16] > 0.99)
    assert elbow.any()
    expected = straight[:, elbow] @ bent.transpose(1, 2)
    torch.testing.assert_close(turned[:, elbow], expected, atol=1e-3, rtol=0)
    fingers = torch.from_numpy(RENDER.weights[:, 16] == 0)
    torch.testing.assert_close(turned[:, fingers], straight[:, fingers])


def test_six_numbers_give_rotations():
    rotations = rotation_from_6d(torch.randn(50, 6, generator=torch.Generator().manual_seed(1)))
    identity = torch.eye(3).expand(50, 3, 3)
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), identity)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(50))
    columns = rotations[..., :2].transpose(1, 2).flatten(1)
    torch.testing.assert_close(rotation_from_6d(columns), rotations)


def test_axis_angle_agrees_with_the_matrix_exponential_and_has_gradients_at_zero():
    vectors = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    torch.testing.assert_close(
        axis_angle_to_matrix(vectors), torch.matrix_exp(cross), atol=1e-5, rtol=0
    )
    start = torch.zeros(2, 3, requires_grad=True)
    axis_angle_to_matrix(start).square().sum().backward()
    assert torch.isfinite(start.grad).all()


def test_gradients_agree_with_finite_differences():
    model = HandModel(HAND).double()
    rotations, shape = random_hands(1)
    rotations = rotations.double().requires_grad_()
    shape = shape.double().requires_grad_()
    right = torch.zeros(1, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda r, s: model(r, s, right)[1], (rotations, shape), fast_mode=True
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("with_pose_dirs", [False, True])
def test_the_exported_graph_agrees(tmp_path, with_pose_dirs):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: run `make test`")
    onnx = pytest.importorskip("onnx", reason="needs onnx: run `make test`")
    template = HAND
    if with_pose_dirs:
        from dataclasses import replace

        corrections = np.random.default_rng(0).normal(0, 5e-4, (778, 3, 135))
        template = replace(HAND, pose_dirs=corrections.astype(np.float32))
    model = HandModel(template).eval()
    rotations, shape = random_hands(10)
    right = (torch.arange(10) % 2).float()
    path = tmp_path / "hand.onnx"
    names = ["rotations", "shape", "is_right"]
    torch.onnx.export(
        model, (rotations, shape, right), str(path), opset_version=17, dynamo=False,
        input_names=names, output_names=["vertices", "keypoints"],
    )  # fmt: skip
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert not operators & {"Einsum", "NonZero", "ScatterND", "ScatterElements", "Loop", "If"}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = dict(zip(names, (rotations.numpy(), shape.numpy(), right.numpy()), strict=True))
    with torch.no_grad():
        expected = model(rotations, shape, right)
    for found, wanted in zip(session.run(None, feeds), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6)

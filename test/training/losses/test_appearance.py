import pytest
import torch
from batches import random_hands

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.placement import project
from handmesh_ros.training.losses.appearance import (
    best_lighting,
    light_basis,
    lit_colours,
    mask_points,
    photometric,
    read_colours,
    silhouette,
    vertex_normals,
    visible_vertices,
)

SIZE = 128
FACES = torch.from_numpy(HandTemplate.bundled().faces).long()
WHITE = torch.zeros(1, 9, 3)
WHITE[:, 0] = 1


@pytest.fixture(scope="module")
def hands():
    hands = random_hands(2, SIZE, seed=5)
    points = project(hands["vertices"], hands["hand_intrinsics"])
    normals = vertex_normals(hands["vertices"], FACES, hands["is_right"])
    return dict(hands, points=points, normals=normals)


def test_normals_point_outwards_on_both_sides(hands):
    swollen = hands["vertices"] + 0.002 * hands["normals"]
    for hand in range(2):
        corners = [m[hand][FACES] for m in (hands["vertices"], swollen)]
        area = [torch.linalg.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]).norm(dim=-1).sum()
                for c in corners]  # fmt: skip
        assert area[1] > area[0]


def test_about_a_third_of_the_vertices_is_seen_and_they_face_the_camera(hands):
    seen = visible_vertices(hands["vertices"], hands["normals"], hands["points"])
    assert 0.15 < seen.float().mean() < 0.6
    towards = -(hands["normals"] * hands["vertices"]).sum(-1)
    assert (towards[seen] > 0).all()


def painted(hands, lighting):
    """Photographs, (2, 3, 128, 128), that show smooth colours under a light, and the albedo."""
    x = torch.linspace(0.3, 0.7, SIZE)
    image = torch.stack(
        [x.expand(SIZE, SIZE), x[:, None].expand(SIZE, SIZE), 0.5 * x + 0 * x[:, None]]
    )
    image = image.expand(2, 3, SIZE, SIZE)
    seen, _ = read_colours(image, hands["points"])
    shade = light_basis(hands["normals"]) @ lighting
    return image, (seen**2.2 / shade) ** (1 / 2.2)


def test_photometric_is_zero_at_the_truth_and_moves_colours_light_and_vertices(hands):
    lighting = WHITE.repeat(2, 1, 1)
    lighting[:, 3] = -0.2
    image, albedo = painted(hands, lighting)
    seen = visible_vertices(hands["vertices"], hands["normals"], hands["points"])
    truth = (albedo, lighting, hands["normals"], image, hands["points"], seen)
    assert photometric(*truth) < 1e-9
    wrong = [albedo * 0.8, lighting * 1.2, hands["points"] + 5]
    for value in wrong:
        value.requires_grad_(True)
    albedo_off = photometric(wrong[0], *truth[1:])
    light_off = photometric(albedo, wrong[1], *truth[2:])
    points_off = photometric(*truth[:4], wrong[2], seen)
    for cost, value in zip((albedo_off, light_off, points_off), wrong, strict=True):
        assert cost > 1e-5
        (gradient,) = torch.autograd.grad(cost, value)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
        if value.shape[1] == 778:
            assert not gradient[~seen].any(), "what is hidden does not learn"
    (pull,) = torch.autograd.grad(photometric(*truth[:4], wrong[2], seen), wrong[2])
    assert (pull.sum((0, 1)) > 0).all(), "a step down moves the vertices back"


def test_colours_learn_the_photograph(hands):
    image, _ = painted(hands, WHITE.repeat(2, 1, 1))
    seen = visible_vertices(hands["vertices"], hands["normals"], hands["points"])
    colours = torch.full((2, 778, 3), 0.2, requires_grad=True)
    descent = torch.optim.Adam([colours], lr=0.05)
    costs = []
    for _ in range(30):
        cost = photometric(
            colours, WHITE.repeat(2, 1, 1), hands["normals"], image, hands["points"], seen
        )
        descent.zero_grad()
        cost.backward()
        descent.step()
        costs.append(cost.item())
    assert costs[-1] < 0.02 * costs[0]


def test_lighting_is_found_from_what_is_seen(hands):
    truth = WHITE.repeat(2, 1, 1)
    truth[:, 3] = -0.3
    truth[:, 1, 0] = 0.1
    albedo = torch.full((2, 778, 3), 0.6)
    seen = lit_colours(albedo, hands["normals"], truth)
    weight = visible_vertices(hands["vertices"], hands["normals"], hands["points"]).float()
    found = best_lighting(albedo, hands["normals"], seen, weight)
    again = lit_colours(albedo, hands["normals"], found)
    assert ((again - seen).abs().mean(-1) * weight).sum() / weight.sum() < 0.02
    nothing = best_lighting(albedo, hands["normals"], seen, torch.zeros_like(weight))
    torch.testing.assert_close(nothing, WHITE.repeat(2, 1, 1))


@pytest.fixture(scope="module")
def masks(hands):
    """Masks (2, 128, 128) filled with the hands' faces, numbered 1 and 2."""
    import cv2
    import numpy as np

    masks = np.zeros((2, SIZE, SIZE), np.uint8)
    for hand in range(2):
        for corners in hands["points"][hand][FACES].round().numpy().astype(np.int32):
            cv2.fillConvexPoly(masks[hand], corners, hand + 1)
    return torch.from_numpy(masks)


def grid(hands, masks):
    return mask_points(masks, torch.tensor([1, 2]), hands["box"], hands["keypoints_2d"])


def test_silhouette_is_zero_at_the_truth_and_pulls_back_from_anywhere(hands, masks):
    points, wanted, allowed = grid(hands, masks)
    assert wanted.any(1).all()
    assert silhouette(hands["points"], points, wanted, allowed) < 1e-3
    size = (hands["box"][0, 2:] - hands["box"][0, :2]).max()
    last = 0.0
    for part in (0.3, 1.0, 3.0):
        wrong = (hands["points"] + torch.tensor([part * size, 0.0])).requires_grad_(True)
        cost = silhouette(wrong, points, wanted, allowed)
        assert cost > last + 0.03
        last = cost.item()
        (gradient,) = torch.autograd.grad(cost, wrong)
        assert torch.isfinite(gradient).all()
        assert gradient[..., 0].sum() > 0, "a step down moves the hand back"


def test_silhouette_feels_the_pose(hands, masks):
    """The gradient reaches the vertices in 3D: it is not that of a picture."""
    points, wanted, allowed = grid(hands, masks)
    vertices = (hands["vertices"] * torch.tensor([1.0, 1.0, 0.7])).requires_grad_(True)
    projected = project(vertices, hands["hand_intrinsics"])
    (gradient,) = torch.autograd.grad(silhouette(projected, points, wanted, allowed), vertices)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_a_hand_under_an_occluder_or_without_a_mask_costs_nothing(hands, masks):
    hidden = torch.where(masks > 0, 255, masks)
    hidden[:, ::2] = masks[:, ::2]
    points, wanted, allowed = grid(hands, hidden)
    assert silhouette(hands["points"], points, wanted, allowed) < 1e-3
    points, wanted, allowed = grid(hands, torch.zeros_like(masks))
    assert silhouette(hands["points"], points, wanted, allowed) == 0

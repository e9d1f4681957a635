import numpy as np
import pytest
import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.backbone import BACKBONES
from handmesh_ros.network.config import NetworkConfig
from handmesh_ros.network.heads import WINDOW, box_windows, palm_turn
from handmesh_ros.network.model import HandNetwork
from handmesh_ros.network.placement import project, ray_rotation

SIZE = 128
PICTURE = torch.full((1, 3, 32, 32), 0.5)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return HandNetwork(NetworkConfig(input_size=SIZE), HandTemplate.bundled()).eval()


def run(network, image=None, focal=150.0):
    if image is None:
        image = torch.randint(0, 256, (1, SIZE, SIZE, 3), dtype=torch.uint8)
    intrinsics = torch.tensor([[focal, focal, SIZE / 2, SIZE / 2]])
    with torch.inference_mode():
        return network(image, intrinsics)


def test_a_hand_of_doubtful_side_takes_one_slot(network):
    cells = SIZE // 8
    heatmaps = torch.full((1, 2, cells, cells), 0.01)
    heatmaps[0, :, 3, 5] = torch.tensor([0.4, 0.5])
    score, right, _ = network.peaks(heatmaps)
    assert score[0].item() == pytest.approx(0.9) and score[1] < 0.1
    assert right[0].item() == pytest.approx(5 / 9, abs=1e-3)


def test_hands_of_both_sides_two_cells_apart_are_two(network):
    cells = SIZE // 8
    heatmaps = torch.full((1, 2, cells, cells), 0.01)
    heatmaps[0, :, 3, 5] = torch.tensor([0.1, 0.8])
    heatmaps[0, :, 3, 7] = torch.tensor([0.7, 0.1])
    score, right, _ = network.peaks(heatmaps)
    torch.testing.assert_close(score[:2], torch.tensor([0.9, 0.8]))
    assert right[0] > 0.8 and right[1] < 0.2


def random_maps(network, images):
    channels = network.config.channels * np.array([1, 1, 2])
    return [
        torch.randn(images, count, SIZE // stride, SIZE // stride)
        for count, stride in zip(channels, (8, 16, 32), strict=True)
    ]


def test_outputs_keep_the_contract(network):
    outputs = run(network)
    shapes = {name: tuple(values.shape) for name, values in outputs.items()}
    assert shapes == {
        "score": (10,),
        "handedness": (10,),
        "centre": (10, 2),
        "box": (10, 4),
        "joints_2d": (10, 21, 2),
        "joints": (10, 21, 3),
        "vertices": (10, 778, 3),
        "rotations": (10, 16, 3, 3),
        "shape": (10, 10),
        "translation": (10, 3),
        "colors": (10, 778, 3),
    }
    assert (outputs["score"][:-1] >= outputs["score"][1:]).all()
    assert outputs["translation"][:, 2].min() > 0
    torch.testing.assert_close(
        torch.linalg.det(outputs["rotations"]), torch.ones(10, 16), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(outputs["joints"][:, 0], outputs["translation"])


def test_depth_follows_the_focal_length_and_nothing_else_moves(network):
    image = torch.randint(0, 256, (1, SIZE, SIZE, 3), dtype=torch.uint8)
    near, far = run(network, image, 150.0), run(network, image, 300.0)
    torch.testing.assert_close(far["translation"][:, 2], 2 * near["translation"][:, 2])
    torch.testing.assert_close(far["joints_2d"], near["joints_2d"])


def test_peaks_find_a_lone_maximum_on_its_side(network):
    cells = SIZE // 8
    heatmaps = torch.zeros(1, 2, cells, cells)
    heatmaps[0, 1, 3, 5] = 0.6
    heatmaps[0, 0, 3, 5] = 0.2
    heatmaps[0, 0, 10, 2] = 0.7
    score, right, centre = network.peaks(heatmaps)
    torch.testing.assert_close(score[:2], torch.tensor([0.8, 0.7]))
    torch.testing.assert_close(right[:2], torch.tensor([0.75, 0.0]), atol=1e-3, rtol=0)
    assert centre[:2].tolist() == [[43.5, 27.5], [19.5, 83.5]]


def test_the_side_is_decided_by_heatmaps_and_heads_together(network):
    maps, window = random_maps(network, 1), torch.tensor([[40.0, 50.0, 60.0]])
    with torch.inference_mode():
        for logit in (-50.0, 50.0):
            found = network.hands_in(
                maps, PICTURE, torch.tensor([0]), window, side_logit=torch.tensor([logit])
            )
            assert found.is_right.item() == float(logit > 0)
            given = network.hands_in(maps, PICTURE, torch.tensor([0]), window, found.is_right)
            torch.testing.assert_close(found.rotations, given.rotations)
            torch.testing.assert_close(found.side_logit, (given.side_logit + logit) / 2)


def test_a_hand_reads_its_own_image_only(network):
    """Flat lists over a batch give what each image gives alone."""
    maps = random_maps(network, 3)
    window = torch.tensor(
        [[40.0, 50.0, 60.0], [90.0, 20.0, 30.0], [40.0, 50.0, 60.0], [70.0, 80.0, 50.0]]
    )
    side, images = torch.tensor([1.0, 0.0, 1.0, 0.0]), [2, 0, 1, 2]

    picture = torch.rand(3, 3, 32, 32)

    def read(maps, picture, image, window, side):
        boxes = network.boxes_at(maps, image, window[:, :2])
        return [*boxes, *network.hands_in(maps, picture, image, window, side)]

    with torch.inference_mode():
        together = read(maps, picture, torch.tensor(images), window, side)
        for hand, image in enumerate(images):
            one_image = [features[image : image + 1] for features in maps]
            here = slice(hand, hand + 1)
            own = picture[image : image + 1]
            alone = read(one_image, own, torch.tensor([0]), window[here], side[here])
            for one, many in zip(alone, together, strict=True):
                torch.testing.assert_close(one[0], many[hand], atol=1e-3, rtol=1e-4)


def test_ray_rotation_turns_the_optical_axis():
    ray = torch.tensor([[0.0, 0.0], [0.5, -0.3], [-1.0, 2.0]])
    turned = ray_rotation(ray) @ torch.tensor([0.0, 0.0, 1.0])
    expected = torch.cat([ray, torch.ones(3, 1)], dim=1)
    torch.testing.assert_close(turned, expected / expected.norm(dim=1, keepdim=True))
    torch.testing.assert_close(
        ray_rotation(ray) @ ray_rotation(ray).mT, torch.eye(3).expand(3, 3, 3)
    )


def test_project_known_point():
    point = torch.tensor([[[0.1, -0.2, 0.5]]])
    intrinsics = torch.tensor([[100.0, 200.0, 64.0, 32.0]])
    assert project(point, intrinsics).tolist() == [[[84.0, -48.0]]]


def test_every_hand_head_learns_from_its_output(network):
    network.zero_grad()
    maps, first = random_maps(network, 1), torch.tensor([0])
    window = torch.tensor([[40.0, 50.0, 60.0]])
    boxes = network.boxes_at(maps, first, window[:, :2])
    found = network.hands_in(maps, PICTURE, first, window, torch.tensor([1.0]))
    sum((values * torch.randn_like(values)).sum() for values in [*boxes, *found]).backward()
    for part in (network.reader, network.box_head, network.heads):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_windows_are_squares_around_boxes():
    box = torch.tensor([[10.0, 20, 50, 40], [30.0, 30, 20, 10]])
    expected = torch.tensor([[30.0, 30, 40 * WINDOW], [25.0, 20, 4 * WINDOW]])
    torch.testing.assert_close(box_windows(box), expected)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_backbone_strides_and_channels(name):
    backbone = BACKBONES[name]().eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (channels, side, side)
        for channels, side in zip(backbone.channels, (16, 8, 4, 2), strict=True)
    ]
    assert sum(1 for stage in backbone.stage_modules() for _ in stage.parameters()) == len(
        list(backbone.parameters())
    )


@pytest.mark.parametrize(
    "wrong", [{"backbone": "vgg"}, {"stride": 16}, {"input_size": 250}, {"input_size": 32}]
)
def test_wrong_sizes_are_refused_in_a_sentence(wrong):
    with pytest.raises(HandmeshError, match=r"\.$"):
        NetworkConfig(**wrong)


def test_the_hand_trunk_starts_from_its_published_weights():
    backbone = BACKBONES["hand_landmark"]()
    backbone.load_pretrained()
    biases = [module.bias for module in backbone.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(biases) == 47
    assert biases[-1].abs().max().item() == pytest.approx(46.94, abs=0.01)
    assert all(bias.abs().max() > 0.5 for bias in biases)


def test_palm_turn_of_a_right_palm_and_a_left_palm():
    keypoints = torch.zeros(2, 21, 2)
    keypoints[0, 5], keypoints[0, 17] = torch.tensor([1.0, -3.0]), torch.tensor([-1.0, -3.0])
    keypoints[1] = keypoints[0] * torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(palm_turn(keypoints), torch.tensor([0.6, -0.6]))

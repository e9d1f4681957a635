import numpy as np
import pytest
from drawn_hands import project, sample_with_3d

from handmesh_ros.hand.conventions import MIRROR
from handmesh_ros.training.data.augment import (
    Augmenter,
    AugmentOptions,
    letterbox,
    random_view,
)
from handmesh_ros.training.data.composition.mosaic import mosaic_tiles, place_in_mosaic
from handmesh_ros.training.data.geometry import View, turned, warp_image, warp_labels

CALM = AugmentOptions(strength=0.0, erase=0.0)


@pytest.mark.parametrize("seed", range(20))
def test_projected_joints_stay_on_the_keypoints_in_any_view(seed):
    rng = np.random.default_rng(seed)
    sample = Augmenter(CALM).view(sample_with_3d(rng), rng, 256, 192)
    assert sample.image.shape == (192, 256, 3)
    assert sample.mask.shape == (192, 256)
    np.testing.assert_allclose(
        project(sample.joints, sample.intrinsics), sample.keypoints_2d, atol=1e-3
    )
    np.testing.assert_allclose(
        project(sample.translation[:, None], sample.hand_intrinsics)[:, 0],
        sample.keypoints_2d[:, 0],
        atol=1e-3,
    )
    np.testing.assert_allclose(np.linalg.det(sample.rotations), 1, atol=1e-5)


def test_mirroring_twice_gives_the_labels_back():
    sample = sample_with_3d(np.random.default_rng(3))
    height, width = sample.image.shape[:2]
    mirrored = View(width, height, sample.intrinsics.astype(np.float64), flip=True)
    once = warp_labels(sample, mirrored)
    twice = warp_labels(once.replace(image=sample.image), mirrored)
    assert (once.is_right != sample.is_right).all()
    for name in ("is_right", "keypoints_2d", "joints", "rotations", "translation", "box"):
        np.testing.assert_allclose(getattr(twice, name), getattr(sample, name), atol=1e-3)
    np.testing.assert_allclose(once.joints, sample.joints @ MIRROR, atol=1e-6)


def test_a_roll_turns_the_wrist_and_leaves_the_fingers():
    sample = sample_with_3d(np.random.default_rng(4))
    view = View(320, 240, sample.intrinsics.astype(np.float64), roll=np.pi / 2)
    rolled = warp_labels(sample, view)
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(rolled.rotations[:, 0], quarter @ sample.rotations[:, 0], atol=1e-6)
    np.testing.assert_array_equal(rolled.rotations[:, 1:], sample.rotations[:, 1:])
    np.testing.assert_allclose(rolled.translation, sample.translation @ quarter.T, atol=1e-6)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_exact(quarters):
    sample = sample_with_3d(np.random.default_rng(6))
    image = turned(sample, quarters)
    np.testing.assert_array_equal(image.image, np.rot90(sample.image, -quarters))
    np.testing.assert_array_equal(image.mask, np.rot90(sample.mask, -quarters))
    np.testing.assert_allclose(
        project(image.joints, image.intrinsics), image.keypoints_2d, atol=1e-3
    )
    assert (image.box[:, :2] <= image.keypoints_2d.min(axis=1)).all()
    assert (image.box[:, 2:] >= image.keypoints_2d.max(axis=1)).all()
    back = turned(image, 4 - quarters)
    np.testing.assert_array_equal(back.image, sample.image)
    for name in ("intrinsics", "keypoints_2d", "joints", "rotations", "translation", "box"):
        np.testing.assert_allclose(getattr(back, name), getattr(sample, name), atol=1e-3)


@pytest.mark.parametrize("scale", [0.2, 0.45, 1.0, 1.7])
def test_the_image_moves_with_the_keypoints(scale):
    rng = np.random.default_rng(5)
    sample = sample_with_3d(rng, hands=1)
    point = np.array([140.0, 97.0])
    image = np.zeros_like(sample.image)
    rows, columns = np.indices(image.shape[:2])
    distance = (columns - point[0]) ** 2 + (rows - point[1]) ** 2
    image[...] = (255 * np.exp(-distance / 800.0))[..., None].astype(np.uint8)
    intrinsics = sample.intrinsics * scale
    view = View(600, 480, intrinsics + np.array([0, 0, 40, 30]), roll=0.4, flip=True)
    affine = view.affine(sample.intrinsics)
    warped = warp_image(image, affine, view)[..., 0].astype(np.float64)
    rows, columns = np.indices(warped.shape)
    found = np.array([(columns * warped).sum(), (rows * warped).sum()]) / warped.sum()
    np.testing.assert_allclose(found, affine[:, :2] @ point + affine[:, 2], atol=0.3)


def test_letterbox_shows_the_whole_image_between_black_bars():
    sample = sample_with_3d(np.random.default_rng(6))
    boxed = letterbox(sample, 256, 256)
    assert not boxed.image[:32].any()
    assert not boxed.image[224:].any()
    assert boxed.image[32:224].any(axis=(1, 2)).all()
    np.testing.assert_allclose(
        boxed.keypoints_2d, (sample.keypoints_2d + 0.5) * 0.8 - 0.5 + [0, 32], atol=1e-3
    )
    assert (boxed.visible_fraction == sample.visible_fraction).all()


def test_hands_cut_off_lose_visibility_and_hands_outside_are_dropped():
    sample = sample_with_3d(np.random.default_rng(7), hands=1)
    box = sample.box[0]
    middle = (box[0] + box[2]) / 2
    half = View(320, 240, (sample.intrinsics - [0, 0, middle, 0]).astype(np.float64))
    cut = warp_labels(sample, half)
    inside = cut.keypoints_2d[0, :, 0] >= -0.5
    np.testing.assert_array_equal(cut.keypoints_visible[0].astype(bool), inside)
    np.testing.assert_allclose(
        cut.visible_fraction, sample.visible_fraction * inside.mean(), atol=1e-6
    )
    away = View(320, 240, (sample.intrinsics - [0, 0, 1000, 0]).astype(np.float64))
    assert len(warp_labels(sample, away)) == 0


def test_boxes_hold_the_keypoints_under_a_roll():
    rng = np.random.default_rng(8)
    sample = sample_with_3d(rng)
    for _ in range(10):
        view = random_view(sample, rng, 256, 256, CALM)
        seen = warp_labels(sample, view)
        assert (seen.keypoints_2d.min(axis=1) >= seen.box[:, :2]).all()
        assert (seen.keypoints_2d.max(axis=1) <= seen.box[:, 2:]).all()


def test_mosaics_keep_every_hand_true_to_its_own_camera():
    rng = np.random.default_rng(9)
    tiles = mosaic_tiles(rng, 256)
    parts = [
        Augmenter(CALM).view(sample_with_3d(rng), rng, x1 - x0, y1 - y0)
        for x0, y0, x1, y1 in tiles
    ]
    mosaic = place_in_mosaic(parts, tiles, 256, max_hands=8)
    assert mosaic.image.shape == (256, 256, 3)
    assert len(mosaic) == sum(map(len, parts))
    np.testing.assert_allclose(
        project(mosaic.joints, mosaic.hand_intrinsics), mosaic.keypoints_2d, atol=1e-3
    )


def test_mosaics_leave_out_parts_with_too_many_hands():
    rng = np.random.default_rng(10)
    parts = [letterbox(sample_with_3d(rng, hands=3), 128, 128) for _ in range(4)]
    tiles = [(0, 0, 128, 128), (128, 0, 256, 128), (0, 128, 128, 256), (128, 128, 256, 256)]
    mosaic = place_in_mosaic(parts, tiles, 256, max_hands=8)
    assert len(mosaic) == 6
    assert (mosaic.image[128:, :] == 114).all()


def test_a_new_background_leaves_the_hands_as_they_were():
    rng = np.random.default_rng(11)
    sample = sample_with_3d(rng)
    options = AugmentOptions(
        new_background=1.0, flip=0.0, any_roll=0.0, upright=0.0, aim=0.0, zoom=(1.0, 1.0),
        padded=0.0,
    )  # fmt: skip
    seen = Augmenter(options).view(sample, rng, 320, 240)
    plain = warp_image(
        sample.image,
        View(320, 240, seen.intrinsics.astype(np.float64)).affine(sample.intrinsics),
        View(320, 240, seen.intrinsics),
    )
    deep = np.zeros(seen.mask.shape, bool)
    x0, y0, x1, y1 = (seen.box[0] + [4, 4, -4, -4]).round().astype(int).clip(0)
    deep[y0:y1, x0:x1] = seen.mask[y0:y1, x0:x1] > 0
    assert np.abs(seen.image[deep].astype(int) - plain[deep]).max() <= 1
    assert np.abs(seen.image[seen.mask == 0].astype(int) - plain[seen.mask == 0]).mean() > 10


def test_the_hand_model_agrees_with_the_moved_labels():
    torch = pytest.importorskip("torch", reason="needs torch: run `make test`")
    from handmesh_ros.hand.model import HandModel, axis_angle_to_matrix
    from handmesh_ros.hand.template import HandTemplate

    rng = np.random.default_rng(12)
    model = HandModel(HandTemplate.bundled()).eval()
    sides = torch.tensor([True, False])
    axis_angle = torch.from_numpy(rng.normal(0, 0.3, (2, 16, 3)).astype(np.float32))
    rotations = axis_angle_to_matrix(axis_angle)
    shape = torch.from_numpy(rng.normal(0, 1, (2, 10)).astype(np.float32))
    sample = sample_with_3d(rng)
    with torch.no_grad():
        joints = model(rotations, shape, sides)[1].numpy() + sample.translation[:, None]
    sample = sample.replace(
        is_right=sides.numpy().astype(np.uint8),
        rotations=rotations.numpy(),
        shape=shape.numpy(),
        joints=joints,
    )
    view = View(320, 240, sample.intrinsics.astype(np.float64), roll=1.1, flip=True)
    moved = warp_labels(sample, view)
    with torch.no_grad():
        again = model(
            torch.from_numpy(moved.rotations),
            torch.from_numpy(moved.shape),
            torch.from_numpy(moved.is_right.astype(bool)),
        )[1].numpy()
    np.testing.assert_allclose(again + moved.translation[:, None], moved.joints, atol=1e-5)

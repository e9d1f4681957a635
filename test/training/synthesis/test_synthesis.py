import sys

import cv2
import numpy as np
import pytest
import torch

from handmesh_ros.cli.main import main
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.model import HandModel
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.training.data.shards import ARRAYS, ShardDataset
from handmesh_ros.training.synthesis import generate, scene
from handmesh_ros.training.synthesis.meshes import Mesh, box, ellipsoid, tube
from handmesh_ros.training.synthesis.renderer import Renderer, open_context
from handmesh_ros.training.synthesis.skins import Skins
from handmesh_ros.training.synthesis.surface import pose_hand
from handmesh_ros.training.synthesis.truth import describe, project

HAND = HandTemplate.bundled()
SIZE = (160, 128)


@pytest.fixture(scope="module")
def maker():
    try:
        open_context().release()
    except HandmeshError as error:
        pytest.skip(str(error))
    return generate.SampleMaker(11, SIZE)


@pytest.fixture(scope="module")
def samples(maker):
    return [maker.make(index) for index in range(16)]


def test_missing_egl_names_the_packages(monkeypatch):
    import moderngl

    def fail(**options):
        raise Exception("libEGL.so not loaded")

    monkeypatch.setattr(moderngl, "create_context", fail)
    with pytest.raises(HandmeshError, match="libegl1 libegl-mesa0 libgl1-mesa-dri"):
        open_context()


def test_missing_moderngl_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(HandmeshError, match="pip install"):
        open_context()


@pytest.mark.parametrize(
    "shape", [box(np.ones(3)), ellipsoid(np.ones(3)), tube(np.eye(3), np.ones(3))]
)
def test_shapes_are_closed_and_face_outwards(shape):
    vertices, faces, uv = shape
    a, b, c = vertices[faces].transpose(1, 0, 2)
    assert np.einsum("ij,ij->", a - vertices.mean(0), np.cross(b, c)) > 0
    assert len(uv) == len(vertices)


def test_numpy_skinning_agrees_with_the_hand_model():
    rng = np.random.default_rng(3)
    rotations = np.linalg.qr(rng.normal(size=(2, 16, 3, 3)))[0]
    rotations *= np.linalg.det(rotations)[..., None, None]
    shape, sides = rng.normal(size=(2, 10)), np.array([True, False])
    vertices, keypoints = HandModel(HAND)(
        torch.tensor(rotations).float(), torch.tensor(shape).float(), torch.tensor(sides)
    )
    for i in range(2):
        posed = pose_hand(HAND, rotations[i], shape[i], sides[i], np.zeros(3))
        np.testing.assert_allclose(posed.vertices, vertices[i].numpy(), atol=1e-5)
        np.testing.assert_allclose(
            posed.keypoints(HAND.fingertips), keypoints[i].numpy(), atol=1e-5
        )


@pytest.mark.egl
def test_samples_depend_on_seed_and_index_only(maker, samples):
    again = maker.make(5)
    np.testing.assert_array_equal(again.image, samples[5].image)
    np.testing.assert_array_equal(again.mask, samples[5].mask)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(samples[5], name))
    assert not np.array_equal(samples[5].image, samples[6].image)


@pytest.mark.egl
def test_truth_is_the_hand_model_seen_by_the_camera(samples):
    model, checked = HandModel(HAND), 0
    for sample in samples:
        assert sample.image.shape == (SIZE[1], SIZE[0], 3) and sample.mask.max() <= 255
        if not len(sample):
            continue
        checked += len(sample)
        vertices, keypoints = model(
            *map(torch.tensor, (sample.rotations, sample.shape, sample.is_right))
        )
        translation = sample.translation[:, None]
        np.testing.assert_allclose(keypoints.numpy() + translation, sample.joints, atol=1e-5)
        pixels = project(sample.joints, sample.intrinsics)
        np.testing.assert_allclose(pixels, sample.keypoints_2d, atol=0.01)
        surface = project(vertices.numpy() + translation, sample.intrinsics)
        boxes = np.concatenate([surface.min(1), surface.max(1)], axis=1)
        np.testing.assert_allclose(boxes, sample.box, atol=0.05)
        assert (sample.joints[..., 2] > 0).all()
    assert checked > 10


@pytest.mark.egl
def test_the_mask_covers_the_projected_hand(samples):
    model, agreement = HandModel(HAND), []
    for sample in samples:
        for i in np.flatnonzero(sample.visible_fraction > 0.99):
            vertices, _ = model(
                *(torch.tensor(v[[i]]) for v in (sample.rotations, sample.shape, sample.is_right))
            )
            points = vertices[0].numpy() + sample.translation[i]
            column, row = np.round(project(points, sample.intrinsics)).astype(int).T
            inside = (column >= 0) & (row >= 0) & (column < SIZE[0]) & (row < SIZE[1])
            agreement.append((sample.mask[row[inside], column[inside]] == i + 1).mean())
    assert len(agreement) > 3 and np.mean(agreement) > 0.85


def hand_facing_the_camera(maker, is_right):
    sampler, rng = maker.sampler, np.random.default_rng(1)
    hand = sampler._sample_hand(rng, sampler.skins.sample(rng), is_right)
    rotations = np.tile(np.eye(3), (16, 1, 1))
    rotations[0] = scene.PALM_VIEW
    if not is_right:
        rotations = scene.MIRROR @ rotations @ scene.MIRROR
    hand.rotations, hand.shape = rotations, np.zeros(10)
    hand.surface = pose_hand(HAND, rotations, hand.shape, is_right, np.zeros(3))
    hand.keypoints, hand.translation = hand.surface.keypoints(HAND.fingertips), np.zeros(3)
    hand.move(np.array([0.0, 0.09, 0.5]))
    return hand


def drawn(maker, hands, extra=()):
    rng = np.random.default_rng(2)
    meshes = [
        mesh
        for number, hand in enumerate(hands, start=1)
        for mesh in maker.sampler._hand_meshes(rng, hand, number)
    ]
    intrinsics = np.array([200.0, 200.0, 79.5, 63.5])
    background = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    made = scene.Scene(
        hands, [*meshes, *extra], intrinsics, scene.sample_lighting(rng), background
    )
    frame = maker.renderer.draw(made.meshes, intrinsics, made.lighting, background)
    return frame, describe(made, frame, maker.sampler)


@pytest.mark.egl
@pytest.mark.parametrize("is_right", [True, False])
def test_a_palm_to_the_camera_shows_the_thumb_on_its_side(maker, is_right):
    hand = hand_facing_the_camera(maker, is_right)
    frame, truth = drawn(maker, [hand])
    points = truth.keypoints_2d[0]
    assert points[12, 1] < points[0, 1] - 30
    thumb_side = points[4, 0] - points[20, 0]
    assert thumb_side > 20 if is_right else thumb_side < -20
    assert truth.visible_fraction[0] > 0.97 and truth.keypoints_visible[0].all()
    column, row = np.round(points[12]).astype(int)
    assert frame.instance[row + 2, column] == 1
    assert abs(frame.depth[row + 2, column] - hand.keypoints[12, 2]) < 0.015


@pytest.mark.egl
def test_what_covers_a_hand_lowers_its_visibility(maker):
    hand = hand_facing_the_camera(maker, True)
    vertices, faces, _ = box(np.array([0.3, 0.1, 0.01]))
    wall = Mesh(vertices + [0, -0.05, 0.4], faces, np.ones((24, 3)), 255)
    frame, truth = drawn(maker, [hand], [wall])
    assert 0.1 < truth.visible_fraction[0] < 0.7
    assert not truth.keypoints_visible[0][[8, 12, 16]].any()
    assert truth.keypoints_visible[0][0]
    assert (frame.instance == 255).any()


@pytest.mark.egl
def test_scenes_without_hands_are_drawn(maker, monkeypatch):
    monkeypatch.setattr(scene, "COUNT_SHARES", (1.0,))
    sample = maker.make(0)
    assert len(sample) == 0 and sample.joints.shape == (0, 21, 3)
    assert set(np.unique(sample.mask)) <= {0, 255}
    assert sample.image.std() > 0


@pytest.mark.egl
def test_pixels_stand_where_the_camera_says(maker):
    """A small ball's centre of mass must lie at its projection, to a fraction of a pixel."""
    vertices, faces, _ = ellipsoid(np.full(3, 0.03), 16, 24)
    place, intrinsics = np.array([0.1, -0.06, 0.8]), np.array([200.0, 200.0, 70.0, 60.0])
    renderer = Renderer(*SIZE, np.zeros((1, 512, 512, 3), np.uint8))
    ball = Mesh(vertices + place, faces, np.ones((len(vertices), 3)), 7)
    lighting = scene.sample_lighting(np.random.default_rng(0))
    frame = renderer.draw([ball], intrinsics, lighting, np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    row, column = np.nonzero(frame.instance == 7)
    np.testing.assert_allclose([column.mean(), row.mean()], project(place, intrinsics), atol=0.3)
    assert np.isinf(frame.depth[0, 0])
    assert abs(frame.depth[frame.instance == 7].min() - 0.77) < 0.002
    renderer.close()


@pytest.mark.egl
def test_shards_do_not_depend_on_the_number_of_workers(tmp_path, maker):
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        steps = list(generate.synthesize(folder, 4, 11, (96, 96), workers=workers))
        assert steps[-1] == 4
    one, two = (next((tmp_path / n).glob("*.tar")).read_bytes() for n in "12")
    assert one == two
    assert len(ShardDataset(tmp_path / "1")) == 4


@pytest.mark.egl
def test_images_that_are_there_are_kept_and_never_replaced(tmp_path, maker):
    def steps(count, side=96):
        return list(generate.synthesize(tmp_path, count, 11, (side, side)))

    assert steps(2) == [0, 1, 2]
    assert steps(2) == [2]
    for count, side in ((1, 96), (2, 64)):
        with pytest.raises(HandmeshError, match="holds other or more samples"):
            steps(count, side)
    assert ShardDataset(tmp_path)[1].image.shape == (96, 96, 3)


@pytest.mark.egl
def test_the_command_draws_a_contact_sheet(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    arguments = [str(tmp_path), "--count", "3", "--size", "96", "--contact-sheet", str(sheet)]
    assert main(["synthesize", *arguments]) == 0
    assert sheet.stat().st_size > 1000


@pytest.mark.egl
def test_without_forearms_and_occluders_scenes_are_the_same_otherwise(samples):
    bare = generate.SampleMaker(11, SIZE, without=generate.OMITTABLE)
    index = next(i for i, s in enumerate(samples) if len(s) and (s.mask == 255).any())
    whole, less = samples[index], bare.make(index)
    for name in ("keypoints_2d", "box", "joints", "rotations", "shape", "colors"):
        np.testing.assert_array_equal(getattr(less, name), getattr(whole, name))
    assert not (less.mask == 255).any()
    behind_all = generate.SampleMaker(11, SIZE, without=["forearms"]).make(index)
    assert 0 < (behind_all.mask % 255 > 0).sum() < (whole.mask % 255 > 0).sum()
    assert (behind_all.mask == 255).any()


def test_skins_may_lie_in_a_folder_hand_beside_others(tmp_path):
    template = HandTemplate.bundled_render()
    for name, value in (("hand", 90), ("body", 200)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.full((8, 8, 3), value, np.uint8))
    for folder in (tmp_path, tmp_path / "hand"):
        textures = Skins(template, folder).textures
        assert len(textures) == 1 and (textures == 90).all()


@pytest.mark.egl
def test_an_empty_folder_is_one_sentence(tmp_path):
    for option in ({"skins": tmp_path}, {"backgrounds": [tmp_path]}):
        with pytest.raises(HandmeshError, match="holds no"):
            generate.SampleMaker(0, (96, 96), **option)


@pytest.mark.egl
def test_a_renderer_that_is_closed_does_not_disturb_another(maker):
    before = maker.make(0).image
    Renderer(*SIZE, np.zeros((1, 512, 512, 3), np.uint8)).close()
    np.testing.assert_array_equal(maker.make(0).image, before)

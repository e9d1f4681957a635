import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import FakeFinder, FakeReader, hand_at, hands_of, middle_of, picture

from handmesh_ros.inference.crops import cut_crops, hand_regions, turned_regions
from handmesh_ros.inference.refiner import HandRefiner
from handmesh_ros.inference.teacher import Teacher, mirrored_points, mirrored_regions

SHAPE = (240, 320)


class LightFinder(FakeFinder):
    """Proposes an upright hand around each light that it sees, as sure as its red is bright.

    Args:
        visible: whether a light at (x, y) of an image of some width is seen.
    """

    def __init__(self, visible=lambda x, y, width: True):
        super().__init__([], [])
        self.visible, self.sizes = visible, []

    def detect(self, image, intrinsics=None):
        self.sizes.append(image.shape[:2])
        count, _, stats, centres = cv2.connectedComponentsWithStats(
            (image[..., 0] > 0).astype(np.uint8)
        )
        found = []
        for (x, y), (left, top, *_) in zip(centres[1:], stats[1:], strict=True):
            if self.visible(x, y, image.shape[1]):
                green = image[int(y), :, 1].astype(float)
                is_right = green[: int(x)].sum() > green[int(x) :].sum()
                found.append((_hand(x, y, is_right), image[top, left, 0] / 255))
        self.hands = hands_of(
            np.array([points for points, _ in found]).reshape(-1, 21, 2),
            np.array([score for _, score in found]),
        )
        return super().detect(image, intrinsics)


class SidedReader(FakeReader):
    """Reads an upright hand of 60 pixels at the light, right where it is greener on the left.

    Left hands are mirrored right ones.

    Args:
        shift: of all keypoints to the right, image pixels.
    """

    def __init__(self, spoil=None, shift=0.0):
        super().__init__(spoil)
        self.shift = shift

    def infer(self, crops, to_image, intrinsics):
        outputs = super().infer(crops, to_image, intrinsics)
        middles = np.array([middle_of(crop) for crop in crops])
        is_right = np.array([_greener_on_the_left(crop, crop[..., 1]) for crop in crops])
        outputs["handedness"] = np.where(is_right, 0.9, 0.1).astype(np.float32)
        places = np.einsum("nij,nj->ni", to_image[:, :, :2], middles) + to_image[:, :, 2]
        if self.spoil is None:
            outputs["joints_2d"] = np.array(
                [
                    _hand(x + self.shift, y, right)
                    for (x, y), right in zip(places, is_right, strict=True)
                ],
                np.float32,
            )
        return outputs


def _hand(x, y, is_right):
    return hand_at(0, 0, 60) * [1 if is_right else -1, 1] + [x, y]


def _greener_on_the_left(crop, green):
    x, _ = middle_of(crop)
    green = green.astype(float)
    return green[:, : int(x)].sum() > green[:, int(x) :].sum()


def scene(*lights, size=SHAPE):
    """An image with lights; beside each, on the left, is some green, which makes a right hand."""
    image = picture(*lights, size=size)
    for x, y, _ in lights:
        image[int(y) - 8 : int(y) + 8, int(x) - 30 : int(x) - 22, 1] = 100
    return image


def teacher(visible=None, reader=None, proposers=()):
    look = LightFinder(visible) if visible else LightFinder()
    return Teacher([look], HandRefiner(reader or SidedReader()), proposers)


def test_a_hand_is_found_once_with_its_side_and_both_readings_agree():
    found = teacher().detect(scene((100, 120, 250)), 0.5)
    assert len(found.score) == 1 and found.score[0] > 0.9
    assert found.readings.right_probability[0] == pytest.approx(0.9)
    assert found.readings.agree.all() and found.readings.gap[0] < 0.03
    assert np.abs(found.readings.keypoints[0].mean(0) - hand_at(100, 120, 60).mean(0)).max() < 6


@settings(deadline=None, max_examples=20)
@given(st.integers(60, 100), st.integers(60, 180), st.integers(190, 260))
def test_the_mirror_image_gives_the_mirrored_hands(x, y, other):
    image = scene((x, y, 250), (other, 120, 240))
    one, mirrored = teacher().detect(image, 0.5), teacher().detect(image[:, ::-1], 0.5)
    assert len(one.score) == len(mirrored.score) == 2
    order = np.argsort(one.readings.keypoints[:, 0, 0])
    back = mirrored_points(mirrored.readings.keypoints, image.shape[1])
    back_order = np.argsort(back[:, 0, 0])
    np.testing.assert_allclose(one.readings.keypoints[order], back[back_order], atol=0.01)
    np.testing.assert_allclose(
        one.readings.right_probability[order],
        1 - mirrored.readings.right_probability[back_order],
        atol=1e-6,
    )


def test_what_is_found_in_the_mirror_image_alone_comes_back_to_its_place():
    def on_the_left(x, y, width):
        return width == SHAPE[1] and x < width / 2

    seen = teacher(on_the_left)
    keypoints, score = seen.propose(scene((250, 120, 200)))
    np.testing.assert_allclose(keypoints, [hand_at(249.5, 119.5, 60)], atol=1e-3)
    assert score == pytest.approx(200 / 255)


def test_what_is_found_on_tiles_alone_comes_back_to_its_place():
    def on_tiles(x, y, width):
        return width < SHAPE[1]

    keypoints, _ = teacher(on_tiles).propose(scene((250, 180, 200)))
    np.testing.assert_allclose(keypoints, [hand_at(249.5, 179.5, 60)], atol=1e-3)


def test_large_images_get_more_and_smaller_tiles():
    look = LightFinder()
    refiner = HandRefiner(SidedReader())
    for width, looks in ((999, 2 * (1 + 4)), (1000, 2 * (1 + 4 + 9))):
        look.sizes = []
        Teacher([look], refiner).propose(np.zeros((300, width, 3), np.uint8))
        assert len(look.sizes) == looks
    assert min(look.sizes) == (129, 429)


def test_other_proposers_are_heeded():
    asked = []

    def propose(image):
        asked.append(image.shape)
        return hands_of(np.array([hand_at(100, 120, 60)]), np.array([0.5]))

    seen = teacher(lambda x, y, width: False, proposers=[propose])
    assert len(seen.detect(scene((100, 120, 250)), 0.5).score) == 1
    assert asked == [(*SHAPE, 3)] * 2


def test_candidates_of_next_to_no_score_are_read_and_weaker_ones_are_not():
    for light, places in ((20, 1), (10, 0)):
        keypoints, _ = teacher().propose(scene((100, 120, light)))
        assert len(keypoints) == places


def test_readings_that_name_one_side_in_both_images_disagree():
    class Stubborn(SidedReader):
        def infer(self, crops, to_image, intrinsics):
            outputs = super().infer(crops, to_image, intrinsics)
            outputs["handedness"][:] = 0.9
            return outputs

    found = teacher(reader=Stubborn()).detect(scene((100, 120, 250)))
    assert found.readings.gap[0] < 0.03 and not found.readings.agree.any()


def test_keypoints_that_move_with_the_mirror_disagree():
    found = teacher(reader=SidedReader(shift=8)).detect(scene((100, 120, 250)))
    assert found.readings.is_same_side.all() and found.readings.gap[0] > 0.1
    assert not found.readings.agree.any()


def test_readings_that_differ_between_crops_of_one_hand_disagree():
    class Unsteady(SidedReader):
        """Names another side where the crop is large."""

        def infer(self, crops, to_image, intrinsics):
            outputs = super().infer(crops, to_image, intrinsics)
            large = np.hypot(to_image[:, 0, 0], to_image[:, 1, 0]) > large_scale
            outputs["handedness"][large] = 1 - outputs["handedness"][large]
            return outputs

    region = hand_regions(hand_at(100, 120, 60)[None])[0]
    large_scale = 1.15 * np.hypot(region[0, 0], region[1, 0])
    found = teacher(reader=Unsteady()).detect(scene((100, 120, 250)))
    assert found.readings.presence.shape == (1, 8) and found.readings.gap[0] < 0.03
    assert not found.readings.is_same_side.any()
    steady = teacher().detect(scene((100, 120, 250)))
    assert steady.readings.agree.all()


def test_what_fails_upright_is_read_at_other_turns():
    class UpsideDown(SidedReader):
        """Sees hands in crops that are turned by half a circle."""

        def infer(self, crops, to_image, intrinsics):
            outputs = super().infer(crops, to_image, intrinsics)
            outputs["score"][to_image[:, 1, 1] > -0.1] = 0.001
            points = outputs["joints_2d"]
            outputs["joints_2d"] = points.min(1)[:, None] + points.max(1)[:, None] - points
            return outputs

    image = scene((100, 120, 250))
    found = teacher(reader=UpsideDown()).detect(image, 0.5)
    assert len(found.score) == 1 and found.readings.keypoints[0, 0, 1] < 120  # its wrist is above
    weak = scene((100, 120, 20))
    assert not len(teacher(reader=UpsideDown()).detect(weak, 0.1).score)


def test_numbers_that_are_not_finite_are_no_hands():
    def spoil(outputs):
        outputs["joints_2d"][:] = np.nan

    found = teacher(reader=SidedReader(spoil)).detect(scene((100, 120, 250)), 0.5)
    assert len(found.score) == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 500)])
def test_images_without_anything(size):
    assert len(teacher().detect(np.zeros((*size, 3), np.uint8)).score) == 0


def test_mirrored_regions_are_those_of_mirrored_hands_and_show_mirrored_crops():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (200, 300, 3)).astype(np.uint8), (0, 0), 2)
    hands = np.stack([hand_at(150, 100, 80), hand_at(90, 120, 60)])
    regions = turned_regions(hand_regions(hands), 30)
    mirrored = mirrored_regions(regions, 300)
    np.testing.assert_allclose(mirrored_regions(mirrored, 300), regions, atol=1e-3)
    upright = mirrored_regions(hand_regions(hands), 300)
    np.testing.assert_allclose(upright, hand_regions(mirrored_points(hands, 300)), atol=1e-3)
    one = cut_crops(image, regions).astype(int)
    other = cut_crops(np.ascontiguousarray(image[:, ::-1]), mirrored).astype(int)
    assert np.abs(other[:, :, 1:] - one[:, :, :0:-1]).max() <= 3


def test_models_are_named_and_closed():
    look, reader = LightFinder(), SidedReader()
    seen = Teacher([look], HandRefiner(reader))
    assert seen.model_id == "made-up + made-up"
    seen.close()
    assert not look.is_open and not reader.is_open

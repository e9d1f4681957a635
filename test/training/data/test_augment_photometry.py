import time

import cv2
import numpy as np
import pytest
from drawn_hands import sample_with_3d

from handmesh_ros.training.data import photometry
from handmesh_ros.training.data.augment import Augmenter, AugmentOptions, erase_boxes
from handmesh_ros.training.data.composition.backgrounds import Backgrounds, procedural_background

SKIN = np.random.default_rng(1).integers(0, 256, (2, 778, 3), dtype=np.uint8)

CHANGES = [
    photometry.change_tones,
    photometry.change_colours,
    photometry.light_unevenly,
    photometry.blur,
    photometry.add_noise,
    photometry.compress,
    photometry.lose_resolution,
]


@pytest.fixture
def picture():
    return procedural_background(np.random.default_rng(0), 96, 64)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_repeats_with_its_seed_and_keeps_the_format(change, picture):
    first = change(picture.copy(), np.random.default_rng(1))
    again = change(picture.copy(), np.random.default_rng(1))
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != picture).any()


def test_grey_has_no_colour(picture):
    assert np.ptp(photometry.to_grey(picture), axis=2).max() == 0


def test_mixing_its_own_spectrum_changes_nothing(picture):
    own = photometry.amplitude_spectrum(picture)
    mixed = photometry.mix_spectrum(picture, own, np.random.default_rng(2))
    assert np.abs(mixed.astype(int) - picture).max() <= 1


def test_mixing_a_bright_spectrum_brightens(picture):
    bright = photometry.amplitude_spectrum(np.full_like(picture, 250))
    mixed = photometry.mix_spectrum(picture, bright, np.random.default_rng(2))
    assert mixed.mean() > picture.mean() + 5


def test_erasing_hides_the_keypoints_below():
    rng = np.random.default_rng(3)
    sample = sample_with_3d(rng)
    erased = [erase_boxes(sample, np.random.default_rng(seed)) for seed in range(30)]
    assert any((e.keypoints_visible < sample.keypoints_visible).any() for e in erased)
    for other in erased:
        assert (other.keypoints_visible <= sample.keypoints_visible).all()
        assert (other.visible_fraction <= sample.visible_fraction).all()
        np.testing.assert_array_equal(other.keypoints_2d, sample.keypoints_2d)
    assert sample.image is not erased[0].image


def test_no_strength_leaves_the_image_alone(picture):
    calm = Augmenter(AugmentOptions(strength=0.0))
    image, colors = calm.change_photometry(picture, SKIN, np.random.default_rng(4))
    np.testing.assert_array_equal(image, picture)
    np.testing.assert_array_equal(colors, SKIN)


def test_pictures_do_not_drown_in_light_or_darkness(picture):
    augmenter = Augmenter(AugmentOptions(strength=2.0))
    for seed in range(40):
        assert augmenter.change_photometry(picture, SKIN, np.random.default_rng(seed))[0].std() > 3


def test_backgrounds_come_from_folders(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((40, 80, 3), (0, 0, 255), np.uint8))
    backgrounds = Backgrounds([tmp_path], procedural=0.0)
    drawn = backgrounds.draw(np.random.default_rng(0), 50, 30)
    assert drawn.shape == (30, 50, 3)
    assert (drawn == [255, 0, 0]).all()


def test_augmenting_is_fast_enough():
    rng = np.random.default_rng(5)
    sample, augmenter = sample_with_3d(rng), Augmenter()
    durations = []
    for _ in range(30):
        start = time.process_time()
        augmenter.augment(sample, rng, 256, 256)
        durations.append(time.process_time() - start)
    assert np.median(durations) < 0.03


def test_colours_of_hands_follow_the_picture():
    """Where only tones and colours change, a skin stays equal to the pixels painted with it."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    picture[10:20, 10:20] = SKIN[0, 0]
    augmenter = Augmenter(AugmentOptions(strength=0.5))
    followed = 0
    for seed in range(40):
        image, colors = augmenter.change_photometry(picture, SKIN, np.random.default_rng(seed))
        assert colors.shape == SKIN.shape and colors.dtype == np.uint8
        followed += bool((image[10:20, 10:20] == colors[0, 0]).all() and (colors != SKIN).any())
    assert followed > 5

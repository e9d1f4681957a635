import numpy as np
import pytest
from drawn_hands import drawn_photograph

from handmesh_ros.training.data.composition.backgrounds import Backgrounds
from handmesh_ros.training.data.composition.composites import (
    compose_sample,
    place,
)
from handmesh_ros.training.data.composition.cutouts import cut_out
from handmesh_ros.training.data.composition.options import CompositeOptions


@pytest.fixture(scope="module")
def cutout():
    return cut_out(drawn_photograph(), 0)


def test_a_hand_on_a_plain_ground_is_cut_out(cutout):
    assert cutout is not None
    assert cutout.is_right
    assert cutout.cut_at_border
    points = np.round(cutout.keypoints).astype(int)
    assert (cutout.alpha[points[:, 1], points[:, 0]] > 128).all()
    seen = cutout.image[cutout.alpha > 250]
    assert np.abs(seen.mean(axis=0) - [190, 140, 110]).max() < 15
    assert 0.1 < (cutout.alpha > 128).mean() < 0.6


def test_labels_beside_the_hand_are_refused():
    photograph = drawn_photograph()
    beside = photograph.replace(keypoints_2d=photograph.keypoints_2d * 0.4)
    assert cut_out(beside, 0) is None


def test_a_placed_hand_keeps_its_keypoints_on_the_skin(cutout):
    options = CompositeOptions(size=200, sleeve=0.0)
    for seed in range(10):
        layer = place(cutout, np.random.default_rng(seed), options)
        points = np.round(layer.keypoints).astype(int)
        inside = ((points >= 0) & (points < 200)).all(axis=1)
        assert (layer.alpha[points[inside, 1], points[inside, 0]] > 0.4).mean() > 0.9


def test_mirroring_changes_the_side(cutout):
    for mirrored in (0.0, 1.0):
        options = CompositeOptions(size=128, mirrored=mirrored)
        layer = place(cutout, np.random.default_rng(0), options)
        assert layer.is_right == (mirrored == 0.0)


def test_composites_repeat_with_their_seed_and_label_every_hand(cutout):
    options = CompositeOptions(size=160, hands=(2, 4), photograph=0.5)
    counts = []
    for seed in range(12):
        made = [
            compose_sample(
                [cutout],
                Backgrounds(),
                np.random.default_rng(seed),
                options,
                photographs=[drawn_photograph()],
            )
            for _ in range(2)
        ]
        np.testing.assert_array_equal(made[0].image, made[1].image)
        np.testing.assert_array_equal(made[0].keypoints_2d, made[1].keypoints_2d)
        sample = made[0]
        assert sample.image.shape == (160, 160, 3)
        assert not sample.has_3d.any()
        assert ((sample.visible_fraction >= 0) & (sample.visible_fraction <= 1)).all()
        counts.append(len(sample))
    assert max(counts) >= 3
    assert min(counts) >= 1


def test_covered_keypoints_are_not_visible(cutout):
    options = CompositeOptions(size=160, hands=(4, 6), least_visible=0.5, occluder=1.0)
    samples = [
        compose_sample([cutout], Backgrounds(), np.random.default_rng(seed), options)
        for seed in range(12)
    ]
    hidden = [
        (sample.keypoints_visible == 0)
        & ((sample.keypoints_2d >= 0) & (sample.keypoints_2d < 159)).all(axis=-1)
        for sample in samples
    ]
    assert sum(h.sum() for h in hidden) > 0
    fractions = np.concatenate([sample.visible_fraction for sample in samples])
    assert fractions.min() < 0.95

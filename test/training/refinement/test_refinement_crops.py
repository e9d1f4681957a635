from types import SimpleNamespace

import numpy as np
import torch
from crop_cases import SIZE, exact_sample

from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.crops import cut_crops, hand_regions
from handmesh_ros.network.refinement import CropCamera
from handmesh_ros.training.refinement.crops import (
    CANDIDATE,
    JITTERED,
    TrainingCrops,
    candidate_crops,
    jittered_crops,
    mirrored_sample,
    training_crops,
)
from handmesh_ros.training.refinement.features import truth_rows
from handmesh_ros.training.refinement.truth import truth_of


def hands_at(sample, shifts):
    """The sample's first hand as a candidate, moved by each of the shifts."""
    found = Hands.empty(778)
    keypoints = np.stack([sample.keypoints_2d[0] + shift for shift in shifts])
    box = np.stack([sample.box[0] + np.tile(shift, 2) for shift in shifts])
    count = len(shifts)
    fields = {
        name: np.zeros((count, *np.shape(values)[1:]), np.asarray(values).dtype)
        for name, values in vars(found).items()
        if isinstance(values, np.ndarray)
    }
    fields |= {"keypoints_2d": keypoints, "box": box, "score": np.full(count, 0.5, np.float32)}
    return found.replace(**fields)


def test_each_hand_gets_its_crops():
    chosen = jittered_crops(exact_sample(0), 3, np.random.default_rng(0))
    assert chosen.hand.tolist() == [0, 0, 0, 1, 1, 1]
    assert (chosen.origin == JITTERED).all()


def test_hidden_and_tiny_hands_are_not_learnt_from():
    sample = exact_sample(0)
    hidden = sample.replace(visible_fraction=np.array([1.0, 0.1], np.float32))
    assert jittered_crops(hidden, 1, np.random.default_rng(0)).hand.tolist() == [0]
    box = sample.box.copy()
    box[0, 2:] = box[0, :2] + 20
    tiny = sample.replace(box=box)
    assert jittered_crops(tiny, 1, np.random.default_rng(0)).hand.tolist() == [1]


def test_candidates_are_of_a_hand_of_none_or_left_out():
    sample = exact_sample(0, hands=1)
    width = sample.box[0, 2] - sample.box[0, 0]
    found = hands_at(sample, [(0, 0), (width * 0.45, 0), (width * 0.9, 0)])
    chosen = candidate_crops(sample, found)
    assert chosen.hand.tolist() == [0, -1]
    assert (chosen.origin == CANDIDATE).all()


def test_photographs_teach_nothing_about_places_without_a_label():
    sample = exact_sample(0, hands=1).replace(has_3d=np.zeros(1, np.uint8))
    found = hands_at(sample, [(0, 0), (SIZE, 0)])
    assert candidate_crops(sample, found).hand.tolist() == [0]


def test_crops_of_candidates_and_of_the_truth_are_together():
    sample = exact_sample(0, hands=1)
    found = hands_at(sample, [(2, 1)])
    chosen = training_crops(
        sample,
        SimpleNamespace(detect=lambda image, intrinsics: found),
        2,
        np.random.default_rng(0),
    )
    assert chosen.origin.tolist() == [JITTERED, JITTERED, CANDIDATE]


def truth_in_crops(sample):
    regions = hand_regions(sample.keypoints_2d)
    count = len(regions)
    chosen = TrainingCrops(
        regions, np.arange(count), np.zeros(count, int), np.ones(count, np.float32)
    )
    batch = {name: torch.from_numpy(v) for name, v in truth_rows(sample, chosen).items()}
    camera = CropCamera.of(batch["to_image"], batch["intrinsics"])
    return cut_crops(sample.image, regions), truth_of(batch, camera)


def test_mirrored_images_give_mirrored_crops_of_the_same_right_hands():
    sample = exact_sample(3)
    crops, truth = truth_in_crops(sample)
    mirrored_crops, mirrored = truth_in_crops(mirrored_sample(sample))
    # Crop pixels run from 0 to 223, so that a mirrored crop is shifted by one of its pixels.
    difference = crops[:, :, 1:, :].astype(int) - mirrored_crops[:, :, ::-1][:, :, :-1].astype(int)
    assert np.median(np.abs(difference)) < 3
    torch.testing.assert_close(mirrored.is_right, 1 - truth.is_right)
    for name in ("seen", "rotations", "joints", "depth", "shape"):
        torch.testing.assert_close(
            getattr(mirrored, name), getattr(truth, name), atol=2e-4, rtol=1e-3
        )


def test_the_truth_is_seen_where_its_joints_are():
    sample = exact_sample(4)
    _, truth = truth_in_crops(sample)
    regions = torch.from_numpy(hand_regions(sample.keypoints_2d))
    camera = CropCamera.of(regions, torch.from_numpy(sample.hand_intrinsics))
    joints = torch.from_numpy(sample.joints) @ camera.rotation
    sign = truth.is_right[:, None] * 2 - 1
    flip = torch.cat([sign, torch.ones_like(sign), torch.ones_like(sign)], 1)[:, None]
    joints = joints * flip
    seen = joints[..., :2] / joints[..., 2:] * camera.focal[:, None]
    torch.testing.assert_close(truth.seen, seen, atol=2e-4, rtol=1e-3)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import CAMERA, FakeFinder, FakeReader, hand_at, picture

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.refiner import HandRefiner
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.inference.sidecar import HandModelReference
from handmesh_ros.network.contract import IMAGE

TWO = [hand_at(150, 200), hand_at(450, 200)]


def estimator(keypoints=TWO, score=(0.9, 0.3), reader=None, **options):
    finder = FakeFinder(list(keypoints), list(score))
    return RefiningEstimator(finder, HandRefiner(reader or FakeReader()), **options)


def test_a_weak_candidate_that_shows_a_hand_is_one_and_a_strong_one_that_shows_none_is_not():
    refining = estimator(score=(0.85, 0.2))
    hands = refining.detect(picture((450, 200, 255)), CAMERA)
    assert len(hands) == 1 and hands.refined.all() and refining.crops == 2
    assert np.abs(hands.keypoints_2d[0].mean(0) - TWO[1].mean(0)).max() < 25
    np.testing.assert_allclose(hands.keypoint_scores, 0.8)


def test_without_refinement_results_are_the_finder_s():
    refining = estimator(score=(0.9, 0.3))
    image = picture((150, 200, 255))
    expected = FakeFinder(TWO, [0.9, 0.3]).detect(image)
    refining.refine = False
    found = refining.detect(image, CAMERA)
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values)
    assert refining.model_id == "finder" and refining.crops == 0
    assert refining.timings == refining.finder.timings
    refining.score_threshold = 0.2
    assert len(refining.detect(image, CAMERA)) == 2
    refining.score_threshold, refining.refine = None, True
    assert refining.model_id == "finder + made-up"
    assert refining.detect(image, CAMERA).refined.tolist() == [True]


def test_hands_beyond_the_limit_are_the_finder_s_and_say_so():
    places = [hand_at(100 + 140 * i, 200) for i in range(4)]
    refining = estimator(places, [0.9, 0.8, 0.7, 0.3], max_refined_hands=2)
    hands = refining.detect(picture(*[(100 + 140 * i, 200, 255) for i in range(4)]), CAMERA)
    assert refining.crops == 2
    assert hands.refined.tolist() == [True, True, False]  # the fourth is below its threshold
    assert (np.diff(hands.score) <= 0).all()


@pytest.mark.parametrize("effort", list(Effort))
def test_no_effort_refines_more_hands_than_may_be(effort):
    places = [hand_at(100 + 140 * i, 200) for i in range(4)]
    refining = estimator(places, [0.9, 0.8, 0.7, 0.6], effort=effort, max_refined_hands=1)
    hands = refining.detect(picture(*[(100 + 140 * i, 200, 255) for i in range(4)]), CAMERA)
    assert hands.refined.sum() == 1 and len(hands) >= 4


@pytest.mark.parametrize("count", [0, 1, 64])
def test_any_number_of_hands(count):
    places = [hand_at(40 + 70 * (i % 8), 50 + 70 * (i // 8), 60) for i in range(count)]
    lights = [(40 + 70 * (i % 8), 50 + 70 * (i // 8), 255) for i in range(count)]
    reader = FakeReader()
    refining = estimator(places, [0.9] * count, reader, max_refined_hands=64)
    hands = refining.detect(picture(*lights, size=(640, 640)), CAMERA)
    assert len(hands) == count and hands.refined.all()
    assert reader.batches[1:] == ([count] if 0 < count <= 16 else [16] * (count // 16))


def test_two_candidates_of_one_region_cost_one_crop():
    refining = estimator([TWO[0], hand_at(152, 200), TWO[1]], [0.9, 0.8, 0.7])
    assert len(refining.detect(picture((150, 200, 255), (450, 200, 255)), CAMERA)) == 2
    assert refining.crops == 2


def test_what_failed_is_looked_at_again_turned():
    def upside_down(outputs):
        # A crop is a hand only where its down is the image's up.
        turned = readers.last[:, 1, 1] < -0.3 * np.abs(readers.last[:, 1, 1]).max()
        outputs["score"] = np.where(turned, 0.99, 0.01).astype(np.float32)
        outputs["keypoint_scores"][~turned] = 0.1

    class Readers(FakeReader):
        def infer(self, crops, to_image, intrinsics):
            self.last = to_image
            return super().infer(crops, to_image, intrinsics)

    readers = Readers(upside_down)
    image = picture((150, 200, 255))
    fast = estimator([TWO[0]], [0.6], readers)
    assert len(fast.detect(image, CAMERA)) == 0 and fast.crops == 1
    balanced = estimator([TWO[0]], [0.6], readers, effort=Effort.BALANCED)
    hands = balanced.detect(image, CAMERA)
    assert len(hands) == 1 and balanced.crops == 4
    wrist, middle = hands.keypoints_2d[0, [0, 9]]
    assert wrist[1] < middle[1]


def test_best_looks_at_tiles_too():
    refining = estimator([hand_at(100, 100, 40)], [0.9], effort=Effort.BEST)
    hands = refining.detect(
        picture(*[(x, y, 255) for x in (100, 356) for y in (100, 292)]), CAMERA
    )
    assert refining.finder.calls == 5
    assert len(hands) == 4  # the finder sees it in each of four tiles: four places of the image


@pytest.mark.parametrize(("size", "count"), [(20.0, 0), (40.0, 1)])
def test_a_few_pixels_are_no_hand(size, count):
    refining = estimator([hand_at(150, 200, size)], [0.6])
    assert len(refining.detect(picture((150, 200, 255)), CAMERA)) == count


def test_numbers_that_are_not_finite_leave_the_finder_s_reading():
    def spoil(outputs):
        outputs["joints"][0, 3, 2] = np.nan

    refining = estimator(score=(0.9, 0.8), reader=FakeReader(spoil))
    hands = refining.detect(picture((150, 200, 255), (450, 200, 255)), CAMERA)
    assert sorted(hands.refined.tolist()) == [False, True]
    assert all(np.isfinite(values).all() for values in vars(hands).values())
    assert hands.score[~hands.refined] == np.float32(0.9)


def test_a_network_that_fails_leaves_the_finder_s_hands_and_the_reason():
    def fail(outputs):
        if len(refining.reader.batches) > 1:
            raise HandmeshError("The GPU is gone.")

    reader = FakeReader(fail)
    refining = RefiningEstimator(FakeFinder(TWO, [0.9, 0.3]), None)
    refining.reader = reader
    refining.add_refiner(HandRefiner(reader))
    hands = refining.detect(picture(), CAMERA)
    assert refining.problem == "The GPU is gone." and hands.refined.tolist() == [False]
    with pytest.raises(HandmeshError, match="GPU"):
        refining.follow(picture(), CAMERA, np.array(TWO))


def test_models_that_do_not_go_together_are_refused():
    other = HandModelReference("other_hand", "1" * 64, 778)
    with pytest.raises(HandmeshError, match=r"makes the hand 'other_hand'.*'open_hand'"):
        estimator(reader=FakeReader(hand_model=other))
    reader = FakeReader()
    for fields, taken in (
        ({"takes": IMAGE}, "takes whole images of"),
        ({"input_size": (192, 192)}, "takes crops of hands of 192×192"),
    ):
        reader.sidecar = FakeReader(**fields).sidecar if "takes" not in fields else None
        if reader.sidecar is None:
            reader.sidecar = FakeFinder([], []).backend.sidecar
        with pytest.raises(HandmeshError, match=f"{taken}.*give a refinement model"):
            HandRefiner(reader)


def test_a_reason_for_having_no_refiner_is_kept():
    refining = RefiningEstimator(FakeFinder(TWO, [0.9, 0.3]), None, lack="It does not fit.")
    refining.detect(picture(), CAMERA)
    assert refining.problem == "It does not fit." and not refining.refines
    refining.refine = False
    refining.detect(picture(), CAMERA)
    assert refining.problem == ""


@pytest.mark.parametrize("size", [(1, 1), (8000, 6000)])
def test_images_of_any_size(size):
    height, width = size
    refining = estimator([hand_at(width / 2, height / 2, max(width / 3, 60))], [0.9])
    hands = refining.detect(np.full((height, width, 3), 255, np.uint8), None)
    assert len(hands) == 1 and np.isfinite(hands.keypoints_2d).all()


@pytest.mark.parametrize(
    ("image", "camera"),
    [
        (np.zeros((4, 4), np.uint8), CAMERA),
        (np.zeros((4, 4, 3), float), CAMERA),
        (np.zeros((4, 4, 3), np.uint8), [0, 1, 2, 3]),
        (np.zeros((4, 4, 3), np.uint8), [np.nan, 1, 2, 3]),
    ],
)
def test_what_cannot_be_used_is_refused(image, camera):
    for call in (
        lambda r: r.detect(image, camera),
        lambda r: r.follow(image, camera, np.array(TWO)),
    ):
        with pytest.raises(HandmeshError):
            call(estimator())


def test_followed_hands_are_read_where_they_are_expected_without_the_finder():
    refining = estimator([], [])
    image = picture((160, 205, 255), (450, 200, 255))
    followed = refining.follow(image, CAMERA, np.array([*TWO, hand_at(320, 400)]))
    assert refining.finder.calls == 0 and refining.crops == 3
    assert followed.is_seen.tolist() == [True, True, False]
    assert len(followed.hands) == 2 and followed.hands.refined.all()
    assert followed.presence[2] < 0.01


def test_of_two_crops_that_end_on_one_hand_the_nearer_one_keeps_it():
    refining = estimator([], [])

    def both_on_the_first(outputs):
        outputs["joints_2d"][:] = hand_at(150, 200)

    refining.add_refiner(HandRefiner(FakeReader(both_on_the_first)))
    image = picture((150, 200, 255), (230, 200, 255))
    for order in ([0, 1], [1, 0]):
        expected = np.array([hand_at(152, 200), hand_at(230, 200)])[order]
        followed = refining.follow(image, CAMERA, expected)
        assert followed.is_seen.tolist() == [order == [0, 1], order == [1, 0]]


def test_a_full_look_sees_hands_that_are_followed_though_nobody_proposes_them():
    refining = estimator([hand_at(152, 201), TWO[1]], [0.9, 0.8])
    image = picture((150, 200, 255), (450, 200, 255), (320, 380, 255))
    hands = refining.detect(image, CAMERA, expected=np.array([TWO[0], hand_at(320, 380)]))
    assert len(hands) == 3 and refining.crops == 3  # the first is known: no second crop


def test_closing_closes_both():
    reader = FakeReader()
    refining = estimator(reader=reader)
    refining.close()
    assert not reader.is_open and not refining.finder.is_open


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_scores_stay_within_the_threshold(light, threshold):
    refining = estimator(score=(0.9, 0.5), score_threshold=threshold)
    hands = refining.detect(picture((150, 200, 255 * light), (450, 200, 255)), CAMERA)
    assert (hands.score >= np.float32(threshold)).all() and (np.diff(hands.score) <= 0).all()
    assert isinstance(hands, Hands)

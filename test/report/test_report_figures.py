from __future__ import annotations

import cv2
import numpy as np
import pytest
from found_hands import SIZE, flat_hands, found

from handmesh_ros.hand.hands import Hands
from handmesh_ros.report.collector import Comparison, ReportCollector
from handmesh_ros.report.figures import Tally, histogram, judge, size_group
from handmesh_ros.report.pictures import encode_picture, pack_hands
from handmesh_ros.training.evaluation.metrics import TrueHands

RIGHT, LEFT = (True, (0.12, 0.05, 0.5)), (False, (-0.12, 0.05, 0.5))


def truth_of(hands: Hands, ignored: tuple[bool, ...] | None = None) -> TrueHands:
    count = len(hands)
    return TrueHands(
        is_right=hands.handedness == 1,
        box=hands.box,
        keypoints_2d=hands.keypoints_2d,
        keypoints_counted=np.ones((count, 21), bool),
        has_3d=np.zeros(count, bool),
        joints=hands.joints,
        vertices=hands.vertices,
        colors=hands.colors,
        ignored=np.array(ignored or [False] * count, bool),
        width=SIZE[1],
        height=SIZE[0],
    )


def longest_side(hands: Hands) -> float:
    return float((hands.box[0, 2:] - hands.box[0, :2]).max())


def test_a_perfect_find_has_no_error_and_is_not_bad():
    hands = flat_hands(RIGHT, LEFT)
    judged = judge(hands, truth_of(hands))
    assert judged.true_hand.tolist() == [0, 1] and not judged.missed.any()
    assert judged.error.max() == 0 and judged.side_is_right.all()
    assert judged.badness() == 0 and judged.false_finds == 0


def test_missed_false_wrong_side_and_ignored_hands():
    hands = flat_hands(RIGHT, LEFT)
    only_right = truth_of(hands[0])
    assert judge(hands, only_right).true_hand.tolist() == [0, -1]
    assert judge(hands, only_right).badness() == 1
    missing = judge(hands[0], truth_of(hands))
    assert missing.missed.tolist() == [False, True] and missing.badness() == 2
    turned = hands.replace(right_probability=1 - hands.right_probability)
    assert judge(turned, truth_of(hands)).badness() == 2
    ignored = judge(hands, truth_of(hands, (False, True)))
    assert ignored.true_hand.tolist() == [0, -2]
    assert ignored.badness() == 0 and ignored.missed.tolist() == [False, False]


def test_error_is_a_part_of_the_true_hands_size():
    hands = flat_hands(RIGHT)
    shifted = hands.replace(
        keypoints_2d=hands.keypoints_2d + np.float32([0.05 * longest_side(hands), 0])
    )
    assert judge(shifted, truth_of(hands)).error[0] == pytest.approx(0.05, rel=1e-4)


def tally_of(shift: float) -> Tally:
    """Four images: two good finds, one miss, and one false find beside a hand that is found."""
    tally = Tally("ours")
    right, both = flat_hands(RIGHT), flat_hands(RIGHT, LEFT)
    moved = right.replace(
        keypoints_2d=right.keypoints_2d + np.float32([shift * longest_side(right), 0])
    )
    pairs = [(moved, right), (moved, right), (Hands.empty(), right), (both, right)]
    for hands, true in pairs:
        truth = truth_of(true)
        tally.add(hands, truth, judge(hands, truth), "set")
    return tally


def test_tables_and_curves_agree_with_the_metrics_of_evaluate():
    tally = tally_of(0.15)
    summary = tally.summary()
    (row,) = tally.table("source").values()
    assert row["hands"] == summary["hands"] == 4
    assert row["recall"] == summary["recall"] == 0.75
    assert row["pck@0.1"] == summary["pck@0.1"] == pytest.approx(1 / 3)
    assert row["pck@0.2"] == summary["pck@0.2"] == 1
    assert row["side"] == summary["handedness"] == 1
    curve = dict(map(tuple, tally.pck_curve()))
    assert curve[0.1] == pytest.approx(1 / 3, abs=1e-3) and curve[0.2] == 1
    # Best first: three hits at 0.9, then the false find at 0.5.
    assert tally.precision_recall_curve() == [[0.75, 1.0], [0.75, 0.75]]
    assert list(tally.table("side")) == ["right"]


def test_sizes_and_histogram():
    assert size_group(np.array([0, 0, 50, 10]), 640, 480) == "below 10 %"
    assert size_group(np.array([0, 0, 700, 10]), 640, 480) == "above 40 %"
    bins = histogram([0.1, 0.1, 0.9, 2.0], 0, 1, 2)
    assert bins == [[0, 0.5, 2], [0.5, 1, 2]]


def test_pictures_stay_within_their_budget():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    small = encode_picture(noise, 60_000)
    assert len(small) <= 60_000
    height, width = cv2.imdecode(np.frombuffer(small, np.uint8), 1).shape[:2]
    assert width / height == pytest.approx(4 / 3, abs=0.02)
    tiny = np.full((60, 80, 3), 7, np.uint8)
    decoded = cv2.imdecode(np.frombuffer(encode_picture(tiny, 60_000), np.uint8), 1)
    assert decoded.shape == (60, 80, 3)


def test_packed_vertices_are_those_of_the_hand():
    import base64

    hands = flat_hands(RIGHT)
    (packed,) = pack_hands(hands)
    steps = np.frombuffer(base64.b64decode(packed["v"]), "<u2").reshape(-1, 3)
    vertices = steps * packed["step"] + packed["origin"]
    np.testing.assert_allclose(vertices, hands.vertices[0], atol=5e-6)
    flat = hands.replace(vertices=np.zeros_like(hands.vertices))
    assert set(pack_hands(flat)[0]) == {"k"}


def collect(collector: ReportCollector, *images) -> ReportCollector:
    for one in images:
        with collector.writing(one.source):
            collector.add(one)
    return collector


def scored(score: float, name: str):
    return found(flat_hands(RIGHT).replace(score=np.float32([score])), name)


def test_only_the_worst_images_are_kept_and_all_are_counted():
    images = [scored(score, f"{score}.jpg") for score in (0.9, 0.4, 0.8, 0.5)]
    collector = collect(ReportCollector(4, pictures=2), *images, found(flat_hands(), "no.jpg"))
    data = collector.data("Title", {})
    shown = [row["name"] for row in data["images"] if row.get("shown")]
    assert shown == ["0.4.jpg", "no.jpg"]
    assert [kept.number for kept in collector.kept()] == [4, 1]
    assert data["tiles"][0] == {"label": "Images", "value": "5", "note": "1 without a hand"}
    assert data["tiles"][1]["value"] == "4"
    assert sum(count for _, _, count in data["charts"][0]["bins"]) == 4


def test_without_truth_disagreement_with_the_other_method_comes_first():
    def find(image, intrinsics):
        return flat_hands(RIGHT, LEFT), 3.0

    images = [scored(0.9, "a.jpg"), found(flat_hands(RIGHT, LEFT), "b.jpg")]
    collector = collect(ReportCollector(2, comparison=Comparison("other", find)), *images)
    assert [kept.number for kept in collector.kept()] == [0, 1]
    data = collector.data("Title", {})
    assert data["methods"] == ["handmesh", "other"]
    assert data["tiles"][2]["note"] == "other: 3 ms"

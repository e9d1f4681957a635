"""What /diagnostics says, without a node."""

import pytest

pytest.importorskip("diagnostic_msgs.msg", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from rclpy.time import Time

from handmesh_ros.ros.publishers.diagnostics import (
    OK,
    WARN,
    FrameRecord,
    Statistics,
    status_message,
)

NOW_S = 100.0


def frame(number: int = 0, age_ms: float = 20.0, **changes) -> FrameRecord:
    values = {
        "finished_s": NOW_S - 0.1 * number,
        "hands": 2,
        "age_ms": age_ms,
        "preprocess_ms": 2.0,
        "inference_ms": 10.0 + number,
        "decode_ms": 1.0,
        "publish_ms": 0.5,
        "scale_sources": (0, 2),
    }
    return FrameRecord(**{**values, **changes})


def report(statistics: Statistics, **changes):
    arguments = {
        "now": Time(seconds=5),
        "now_s": NOW_S,
        "node_name": "/left/detector",
        "details": {"model": "tiny", "backend": "ONNX Runtime"},
        "wanted_s": 60.0,
        "latency_budget_ms": 100.0,
        "image_topic": "/left/image",
        "camera_count": 1,
    }
    (status,) = status_message(statistics, **{**arguments, **changes}).status
    return status, {pair.key: pair.value for pair in status.values}


@pytest.fixture
def statistics() -> Statistics:
    """Of two seconds at 10 Hz, every second image dropped."""
    made = Statistics()
    for number in reversed(range(20)):
        made.receive(dropped=False)
        made.receive(dropped=True)
        made.finish(frame(number))
    return made


def test_everything_that_people_ask_for_is_there(statistics):
    status, values = report(statistics)
    assert (status.level, status.message) == (OK, "finding hands")
    assert status.name == "left/detector: hand detection"
    assert values["rate [Hz]"] == "4.00"  # 20 images in a window of 5 s
    assert (values["images received"], values["images dropped for newer ones"]) == ("40", "20")
    assert float(values["inference p50 [ms]"]) == pytest.approx(19.5)
    assert float(values["inference p95 [ms]"]) == pytest.approx(28.05)
    assert (values["model"], values["backend"]) == ("tiny", "ONNX Runtime")
    assert values["scale source"] == "ASSUMED, DEPTH"
    assert values["calibrated"] == "true"


def test_the_scale_source_is_that_of_the_last_hands(statistics):
    statistics.finish(frame(hands=0, scale_sources=(), calibrated=False))
    values = report(statistics)[1]
    assert (values["scale source"], values["calibrated"]) == ("ASSUMED, DEPTH", "false")
    assert report(Statistics())[1]["scale source"] == "no hands"


@pytest.mark.parametrize(
    ("age_ms", "words"),
    [
        (150.0, "150 ms old, the budget is 100 ms"),
        (3.6e6, "3600 s behind the node's clock: set use_sim_time"),
        (-3.6e6, "3600 s ahead of the node's clock"),
        (-2500.0, "2.5 s ahead of the node's clock"),
    ],
)
def test_ages_over_budget_and_other_clocks_are_warnings(age_ms, words):
    statistics = Statistics()
    statistics.finish(frame(age_ms=age_ms))
    status, _ = report(statistics)
    assert status.level == WARN and words in status.message


def test_images_without_stamps_have_no_age_and_no_warning():
    statistics = Statistics()
    statistics.finish(frame(age_ms=float("nan")))
    status, values = report(statistics)
    assert (status.level, values["age p50 [ms]"]) == (OK, "nan")


def test_clocks_that_differ_by_less_than_the_budget_are_well():
    statistics = Statistics()
    statistics.finish(frame(age_ms=-20.0))
    assert report(statistics)[0].level == OK


def test_no_images_is_a_warning_but_idling_is_not():
    status, _ = report(Statistics(), camera_count=0)
    assert status.level == WARN and status.message.startswith(
        "no images come in on /left/image, which nobody publishes: remap"
    )
    assert "on /left/image, though it has a publisher: " in report(Statistics())[0].message
    status, _ = report(Statistics(), wanted_s=None)
    assert status.level == OK and "idle" in status.message


def test_the_first_image_is_waited_for():
    status, _ = report(Statistics(), wanted_s=0.5)
    assert (status.level, status.message) == (OK, "waiting for the first image")


def test_an_assumed_field_of_view_is_a_lasting_warning(statistics):
    statistics.finish(frame(calibrated=False))
    status, _ = report(statistics)
    assert status.level == WARN and "assumed field of view" in status.message
    both, _ = report(statistics, latency_budget_ms=10.0)
    assert "assumed field of view" in both.message and "the budget is 10 ms" in both.message
    assert report(statistics, wanted_s=0.5)[0].level == OK, "camera_info may come a little later"
    statistics.finish(frame())
    assert report(statistics)[0].level == OK


def test_problems_are_said_for_a_while_and_only_lost_images_are_counted(statistics):
    statistics.warn("depth is stale", NOW_S - 4.0)
    status, values = report(statistics)
    assert (status.level, status.message, values["images failed"]) == (WARN, "depth is stale", "0")
    statistics.fail("truncated", NOW_S - 1.0)
    status, values = report(statistics)
    assert (status.message, values["images failed"]) == ("truncated", "1")
    assert report(statistics, now_s=NOW_S + 0.5, latency_budget_ms=100.0)[0].level == WARN
    later = report(statistics, now_s=NOW_S + 4.5)[0]
    assert later.message != "truncated"

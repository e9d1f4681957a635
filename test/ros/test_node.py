"""The detector over real DDS, with a tiny network that always finds the same two hands."""

import array
import copy
import shutil
import threading
import time
import types
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make test`")
pytest.importorskip("handmesh_ros.msg", reason="needs the built messages: run `make test`")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.models import REFINEMENT_MODEL
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.msg import HandMesh, HandMeshArray, HandTopology
from handmesh_ros.ros.node import DetectorNode, load_estimator
from handmesh_ros.ros.parameters.schema import Parameters

pytestmark = pytest.mark.ros

FAILURE, SUCCESS = TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.SUCCESS


WAIT_S = 30.0


def state_of(rig) -> int:
    return rig.node._state_machine.current_state[0]


def test_raw_images_give_hands_with_the_image_s_header(make_rig, image, camera_info):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: hands, "image", image)
    assert np.isnan(hands[0].latency.age_ms), "an image without stamp has no age"
    image.header.stamp = rig.client.get_clock().now().to_msg()
    stamp = image.header.stamp
    rig.send_until(
        lambda: hands[-1].calibrated and hands[-1].header.stamp == stamp, "image", image
    )
    message = hands[-1]
    assert message.header == image.header
    assert message.model_id == "tiny-test"
    assert [hand.handedness for hand in message.hands] == [1, 0]
    assert len(message.hands[0].vertices) == 3 * 778
    np.testing.assert_allclose(message.intrinsics, [60, 60, 31.5, 23.5])
    joint, pixel = message.hands[0].joints[:3], message.hands[0].keypoints_2d[:2]
    expected = joint[:2] / joint[2] * message.intrinsics[:2] + message.intrinsics[2:]
    np.testing.assert_allclose(pixel, expected, atol=0.01)
    latency = message.latency
    assert min(latency.preprocess_ms, latency.inference_ms, latency.publish_ms) > 0
    assert latency.age_ms > latency.inference_ms


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_compressed_images(make_rig, image, ending):
    rig = make_rig(image_transport="compressed")
    hands = rig.listen("hands", HandMeshArray)
    encoded = cv2.imencode(ending, np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    message = CompressedImage(header=image.header, format="x", data=array.array("B", encoded))
    rig.send_until(lambda: hands, "image/compressed", message)
    assert len(hands[-1].hands) == 2


def stamped(image, seconds: float):
    """A copy of the image taken at that time, of a clock that starts at 100 s."""
    copied = copy.deepcopy(image)
    nanoseconds = round(1e9 * (100.0 + seconds))
    copied.header.stamp.sec, copied.header.stamp.nanosec = divmod(nanoseconds, 10**9)
    return copied


def dark(image):
    """The image without hands."""
    image.data = array.array("B", bytes(len(image.data)))
    return image


def answers(rig, hands, image) -> HandMeshArray:
    """What the detector says to this image."""

    def said() -> list:
        return [message for message in hands if message.header.stamp == image.header.stamp]

    rig.send_until(said, "image", image)
    return said()[0]


def test_hands_keep_their_ids_and_are_lost_once(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    for number in range(3):
        message = answers(rig, hands, stamped(image, 0.1 * number))
        assert [hand.state for hand in message.hands] == [HandMesh.TRACKED] * 2
    ids = [hand.track_id for hand in message.hands]
    assert sorted(ids) == [1, 2]
    predicted = answers(rig, hands, dark(stamped(image, 0.4)))
    assert sorted(hand.track_id for hand in predicted.hands) == [1, 2]
    assert {hand.state for hand in predicted.hands} == {HandMesh.PREDICTED}
    assert predicted.hands[0].age_s == pytest.approx(0.2, abs=1e-3)
    for seconds in (1.2, 1.3):
        answers(rig, hands, dark(stamped(image, seconds)))
    late = [message for message in hands if message.header.stamp.sec == 101]
    lost = [hand.state for message in late for hand in message.hands]
    assert lost == [HandMesh.LOST] * 2


def test_a_bag_that_starts_again_is_said_once(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    for seconds in (50.0, 50.1):
        answers(rig, hands, stamped(image, seconds))
    message = answers(rig, hands, stamped(image, 0.0))
    rig.wait_for(lambda: any("jumped back" in log for log in rig.logs))
    tracked = [hand.track_id for hand in message.hands if hand.state == HandMesh.TRACKED]
    assert sorted(tracked) == [3, 4]


def test_two_cameras_on_one_topic_are_named(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    answers(rig, hands, stamped(image, 0.0))
    other = stamped(image, 0.1)
    other.header.frame_id = "other"
    answers(rig, hands, other)
    rig.wait_for(
        lambda: any("'camera' with 64×48 pixels and of 'other'" in log for log in rig.logs)
    )


def test_raw_hands_have_the_ids_of_the_smoothed_ones(make_rig, image):
    rig = make_rig()
    hands, raw = rig.listen("hands", HandMeshArray), rig.listen("hands_raw", HandMeshArray)
    rig.send_until(lambda: hands and raw, "image", image)
    assert {hand.track_id for hand in raw[0].hands} == {hand.track_id for hand in hands[0].hands}
    count = len(raw)
    rig.send_until(lambda: len(raw) > count + 5, "image", dark(stamped(image, 0.1)))
    assert not raw[-1].hands, "a hand that is not seen has no raw pose"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 32}, "aligned"),
        ({"encoding": "rgb8"}, "'rgb8'"),
        ({"data": array.array("B", bytes(4 * 64 * 48))}, "no measurement at all"),
        ({"header": Header(frame_id="other")}, "'other'"),
        ({"header": Header(stamp=Time(sec=5), frame_id="camera")}, "s from the colour image"),
    ],
)
def test_bad_depth_is_named_and_good_depth_scales(make_rig, image, camera_info, changes, words):
    rig = make_rig(use_depth=True)
    hands = rig.listen("hands", HandMeshArray)
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: hands and hands[-1].calibrated, "image", image)
    metres = np.full((48, 64), 0.9, np.float32)
    depth = Image(
        header=image.header, height=48, width=64, encoding="32FC1", step=4 * 64,
        data=array.array("B", metres.tobytes()),
    )  # fmt: skip
    bad = copy.deepcopy(depth)
    for name, value in changes.items():
        setattr(bad, name, value)
    rig.send("depth", bad)
    rig.send_until(lambda: any(words in log for log in rig.logs), "image", image)
    rig.send("depth", depth)
    rig.send_until(
        lambda: {hand.scale_source for hand in hands[-1].hands} == {HandMesh.DEPTH}, "image", image
    )


def test_without_tracking_hands_have_no_ids(make_rig, image):
    rig = make_rig(track=False)
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert [hand.track_id for hand in hands[0].hands] == [0, 0]


def test_padded_rows(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    image.step += 16
    image.data = array.array("B", bytes([90]) * (image.step * image.height))
    rig.send_until(lambda: hands, "image", image)
    assert len(hands[-1].hands) == 2


def test_bad_images_are_named_and_good_ones_work_again(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    bad_data = array.array("B", bytes(10))
    for changes, words in (
        ({"encoding": "rgb7"}, "'rgb7' is unknown"),
        ({"width": 0}, "no pixels"),
        ({"data": bad_data}, "truncated"),
        ({"step": 7}, "step of 7"),
    ):
        bad = copy.deepcopy(image)
        for name, value in changes.items():
            setattr(bad, name, value)
        rig.send_until(lambda: any(words in log for log in rig.logs), "image", bad)  # noqa: B023
        count = len(hands)
        rig.send_until(lambda: len(hands) > count, "image", image)  # noqa: B023
    assert state_of(rig) == State.PRIMARY_STATE_ACTIVE


def test_the_same_complaint_is_not_repeated(make_rig, image):
    rig = make_rig(lazy=False)
    image.encoding = "rgb7"
    for _ in range(30):
        rig.send("image", image)
        time.sleep(0.005)
    rig.wait_for(lambda: any("rgb7" in log for log in rig.logs))
    assert sum("rgb7" in log for log in rig.logs) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": [float("nan")] * 9}, "not finite"),
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"width": 64, "height": 64}, "another shape"),
    ],
)
def test_a_bad_calibration_is_said_once_and_the_fov_assumed(
    make_rig, image, camera_info, changes, words
):
    rig = make_rig(assumed_fov_deg=90.0)
    hands = rig.listen("hands", HandMeshArray)
    for name, value in changes.items():
        setattr(camera_info, name, value)
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: any(words in log for log in rig.logs), "image", image)
    assert words in rig.node._statistics.summary(time.monotonic())["problem"]
    rig.send_until(lambda: len(hands) > 5, "image", image)
    assert sum(words in log for log in rig.logs) == 1
    assert not hands[-1].calibrated
    np.testing.assert_allclose(hands[-1].intrinsics, [32, 32, 31.5, 23.5], rtol=1e-6)


def test_without_calibration_hands_come_and_recover_when_it_does(make_rig, image, camera_info):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert not hands[-1].calibrated
    rig.send_until(lambda: any("No camera_info" in log for log in rig.logs), "image", image)
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: hands[-1].calibrated, "image", image)


def test_diagnostics_name_the_scale_that_messages_have(make_rig, image, camera_info):
    rig = make_rig(left_hand_length_m=0.16, right_hand_length_m=0.16)
    hands, diagnostics = (
        rig.listen("hands", HandMeshArray),
        rig.listen("/diagnostics", DiagnosticArray),
    )

    def told() -> set[str]:
        return {
            value.value
            for status in (status for message in diagnostics[-1:] for status in message.status)
            for value in status.values
            if value.key == "scale source"
        }

    rig.send_until(lambda: hands and told() == {"ASSUMED"}, "image", image)
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: told() == {"CALIBRATED"}, "image", image)


def test_a_calibration_of_a_scaled_image_is_scaled(make_rig, image, camera_info):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    camera_info.width, camera_info.height = 128, 96
    rig.send("camera_info", camera_info)
    rig.send_until(lambda: hands and hands[-1].calibrated, "image", image)
    np.testing.assert_allclose(hands[-1].intrinsics, [30, 30, 15.5, 11.5])


def test_diagnostics_look_for_the_camera_where_image_is_remapped_to(make_rig, image, monkeypatch):
    monkeypatch.setattr("handmesh_ros.ros.publishers.diagnostics.GRACE_S", 0.0)
    rig = make_rig(lazy=False, remappings=["image:=/elsewhere/image"])
    said = rig.listen("/diagnostics", DiagnosticArray)

    def says(words):
        return lambda: any(words in array.status[0].message for array in said)

    rig.wait_for(says("on /elsewhere/image, which nobody publishes: start the camera"))
    rig.client.create_publisher(type(image), "/elsewhere/image", 1)
    rig.wait_for(says("on /elsewhere/image, though it has a publisher"))


@pytest.mark.parametrize(
    ("rules", "topic"),
    [
        ([], "image/compressed"),
        (["image:=/cam/image_raw"], "/cam/image_raw/compressed"),
        (["image:=cam/image_raw"], "cam/image_raw/compressed"),
        (["image:=/cam/image_raw/compressed"], "/cam/image_raw/compressed"),
        (["image:=/cam/image_raw", "image/compressed:=/jpeg"], "/jpeg"),
    ],
)
def test_the_compressed_transport_follows_the_image(make_rig, image, rules, topic):
    rig = make_rig(image_transport="compressed", remappings=rules)
    hands = rig.listen("hands", HandMeshArray)
    grey = cv2.imencode(".png", np.full((48, 64), 90, np.uint8))[1].tobytes()
    sent = CompressedImage(header=image.header, format="png", data=grey)
    rig.send_until(lambda: hands, topic, sent)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], "remap `image` to the camera's topic"),
        (["image:=/cam/image_raw"], "/cam/image_raw/compressed, which nobody publishes: start"),
    ],
)
def test_diagnostics_advise_only_what_is_not_done(make_rig, monkeypatch, rules, words):
    monkeypatch.setattr("handmesh_ros.ros.publishers.diagnostics.GRACE_S", 0.0)
    rig = make_rig(lazy=False, image_transport="compressed", remappings=rules)
    said = rig.listen("/diagnostics", DiagnosticArray)
    rig.wait_for(lambda: any(words in array.status[0].message for array in said))


LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.parametrize("order", ["latched first", "latched later", "with every image"])
@pytest.mark.parametrize("override", [None, "transient_local", "volatile"])
def test_calibrations_come_latched_or_with_every_image(
    make_rig, image, camera_info, order, override, request
):
    """And both at once; a durability asked for counts, too."""
    rig = make_rig(start=False)
    if override is not None:
        topic = rig.node.resolve_topic_name("camera_info")
        name = f"qos_overrides.{topic}.subscription.durability"
        rig.node._parameter_overrides[name] = Parameter(name, value=override)
    hands = rig.listen("hands", HandMeshArray)
    qos = 1 if order == "with every image" else LATCHED
    publisher = rig.client.create_publisher(type(camera_info), "camera_info", qos)
    if order == "latched first":
        publisher.publish(camera_info)
    assert rig.run(rig.node.start)
    if order == "latched later":
        publisher.publish(camera_info)

    def is_calibrated():
        if order == "with every image":
            publisher.publish(camera_info)
        return hands and hands[-1].calibrated

    if order == "with every image" and override == "transient_local":
        rig.send_until(lambda: hands, "image", image)
        return  # asked for: who keeps nothing is not heard
    rig.send_until(is_calibrated, "image", image)
    assert not any("incompatible" in log for log in rig.logs)


def test_drivers_that_keep_nothing_are_not_asked_for_it(make_rig, image, camera_info):
    """They would warn of a subscription that they cannot serve."""
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    publisher = rig.client.create_publisher(type(camera_info), "camera_info", 1)

    def is_calibrated():
        publisher.publish(camera_info)
        return hands and hands[-1].calibrated

    rig.send_until(is_calibrated, "image", image)
    time.sleep(1.5)  # longer than it takes to look
    asked = rig.client.get_subscriptions_info_by_topic("camera_info")
    assert [each.qos_profile.durability for each in asked] == [DurabilityPolicy.VOLATILE]


def test_overrides_that_the_detector_does_not_have_are_named(make_rig, capfd):
    unknown = ["/image.subscription.history", "/hands.publisher.depth"]
    known = ["/image.subscription.depth", "/clock.subscription.depth"]
    values = {name: 3 if name.endswith("depth") else "keep_all" for name in unknown + known}
    make_rig(start=False, **{f"qos_overrides.{name}": value for name, value in values.items()})
    said = capfd.readouterr().err
    assert all(f"qos_overrides.{name} is ignored: give" in said for name in unknown)
    assert said.count("is ignored") == 2


def test_no_subscriber_no_work(make_rig, image):
    rig = make_rig()
    publisher = rig.client.create_publisher(Image, "image", 1)
    time.sleep(0.4)
    assert publisher.get_subscription_count() == 0
    subscription = rig.client.create_subscription(HandMeshArray, "hands", lambda message: None, 1)
    rig.wait_for(lambda: publisher.get_subscription_count() == 1)
    rig.client.destroy_subscription(subscription)
    rig.wait_for(lambda: publisher.get_subscription_count() == 0)


class SlowEstimator:
    """A real estimator that takes its time."""

    def __init__(self, parameters, seconds: float) -> None:
        self._estimator, self._seconds = load_estimator(parameters), seconds

    def __getattr__(self, name):
        return getattr(self._estimator, name)

    def detect(self, rgb, intrinsics):
        time.sleep(self._seconds)
        return self._estimator.detect(rgb, intrinsics)


def test_a_model_is_not_closed_under_a_running_call(make_rig, image, monkeypatch):
    monkeypatch.setattr("handmesh_ros.ros.node.STOP_PATIENCE_S", 0.2)
    started, may_end, closed, loaded = threading.Event(), threading.Event(), [], []

    class Stuck(SlowEstimator):
        def detect(self, rgb, intrinsics):
            started.set()
            assert may_end.wait(WAIT_S)
            return super().detect(rgb, intrinsics)

        def close(self):
            closed.append(self)
            self._estimator.close()

    def load(parameters):
        loaded.append(Stuck(parameters, 0.0))
        return loaded[-1]

    rig = make_rig(load=load)
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(started.is_set, "image", image)
    assert rig.run(rig.node.trigger_deactivate) == SUCCESS
    rig.wait_for(lambda: any("does not end" in log for log in rig.logs))
    assert rig.run(rig.node.trigger_activate) == FAILURE, "two calls would share the tracks"
    assert closed == loaded[1:], "only a model that never ran may be closed"
    may_end.set()
    rig.wait_for(lambda: not rig.node._late_worker.is_alive)
    assert not hands, "nobody waits for a late result"
    assert rig.run(rig.node.trigger_activate) == SUCCESS
    rig.send_until(lambda: hands, "image", image)
    assert loaded[0] not in closed


def test_a_slow_network_works_on_the_newest_image_and_never_queues(make_rig, image):
    rig = make_rig(load=lambda parameters: SlowEstimator(parameters, 0.15))
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    time.sleep(0.4)
    hands.clear()
    for number in range(30):
        image.header.stamp.sec = number
        rig.send("image", image)
        time.sleep(0.02)
    rig.wait_for(lambda: hands and hands[-1].header.stamp.sec == 29)
    time.sleep(0.3)
    stamps = [message.header.stamp.sec for message in hands]
    assert stamps == sorted(set(stamps)), "an image came twice or too late"
    assert len(stamps) <= 7, "old images were worked on"
    assert rig.node._statistics.summary(time.monotonic())["images dropped for newer ones"] > 15


def test_services_answer_while_the_network_is_slow(make_rig, image):
    rig = make_rig(load=lambda parameters: SlowEstimator(parameters, 0.5))
    rig.listen("hands", HandMeshArray)
    for _ in range(3):
        rig.send("image", image)
    start = time.monotonic()
    result = rig.run(lambda: rig.node.set_parameters([Parameter("max_hands", value=1)]))[0]
    assert result.successful and time.monotonic() - start < 0.3


def test_markers_overlay_and_topology(make_rig, image, template):
    rig = make_rig()
    rig.listen("hands", HandMeshArray)
    markers = rig.listen("markers", MarkerArray)
    overlay = rig.listen("overlay", Image)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topology = rig.listen("topology", HandTopology, latched)
    rig.send_until(lambda: markers and overlay, "image", image)
    rig.wait_for(lambda: topology)
    assert len(markers[0].markers) == 8
    assert (overlay[0].width, overlay[0].height, overlay[0].encoding) == (64, 48, "rgb8")
    assert overlay[0].header == image.header
    assert topology[0].hand_model_sha256 == template.sha256
    assert topology[0].vertex_count == 778


def test_markers_keep_to_their_rate(make_rig, image):
    rig = make_rig(marker_rate_hz=5.0)
    hands = rig.listen("hands", HandMeshArray)
    markers = rig.listen("markers", MarkerArray, raw=True)
    rig.send_until(lambda: markers, "image", image)
    count, start = len(hands), time.monotonic()
    markers.clear()
    rig.send_until(lambda: len(hands) > count + 30 and len(markers) > 2, "image", image)
    assert len(markers) <= 5.0 * (time.monotonic() - start) + 2


def test_diagnostics_tell_rate_latency_and_model(make_rig, image):
    rig = make_rig()
    reports = rig.listen("/diagnostics", DiagnosticArray)
    hands = rig.listen("hands", HandMeshArray)
    image.header.stamp = rig.client.get_clock().now().to_msg()
    rig.send_until(lambda: hands, "image", image)

    def last() -> dict[str, str]:
        return {pair.key: pair.value for pair in reports[-1].status[0].values} if reports else {}

    rig.wait_for(lambda: float(last().get("rate [Hz]", "0")) > 0)
    assert last()["model"] == "tiny-test"
    assert "ONNX Runtime" in last()["backend"]
    assert float(last()["age p50 [ms]"]) > 0
    assert int(last()["images received"]) > 0


def test_diagnostics_name_only_the_models_that_run(make_rig):
    model = types.SimpleNamespace(
        model_id="finder + reader", backend=types.SimpleNamespace(name="CPU")
    )
    rig = make_rig()
    reports = rig.listen("/diagnostics", DiagnosticArray)

    def model_said() -> str:
        values = reports[-1].status[0].values if reports else []
        return {pair.key: pair.value for pair in values}.get("model", "")

    detector = rig.node._pipeline.detector
    rig.run(lambda: setattr(detector, "estimator", model))
    rig.wait_for(lambda: model_said() == "finder + reader")
    model.model_id = "finder"
    rig.wait_for(lambda: model_said() == "finder")


@pytest.mark.parametrize("refines", [True, False])
def test_models_are_loaded_as_refine_hands_says(refines):
    estimator = load_estimator(Parameters(refine_hands=refines, backend="onnxruntime"))
    assert ("refine" in estimator.model_id) is refines
    estimator.close()


def test_parameters_change_at_run_time_or_are_refused_with_the_reason(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)

    def change(parameters: list[Parameter]):
        return rig.run(lambda: rig.node.set_parameters(parameters))

    assert change([Parameter("max_hands", value=1)])[0].successful
    rig.send_until(lambda: hands and len(hands[-1].hands) == 1, "image", image)
    both = [Parameter("score_threshold", value=0.85), Parameter("max_hands", value=0)]
    assert all(result.successful for result in change(both))
    assert change([Parameter("publish_mesh", value=False)])[0].successful
    rig.send_until(lambda: not hands[-1].hands[0].vertices, "image", image)
    assert len(hands[-1].hands) == 1
    for name, value in (
        ("score_threshold", 1.5),
        ("mesh_color", "pink"),
        ("model", "other.onnx"),
        ("publish_mesh", 3),
    ):
        result = change([Parameter(name, value=value)])[0]
        assert not result.successful and result.reason, name
    assert rig.node.parameters.score_threshold == 0.85


def test_a_bad_parameter_at_start_is_one_sentence(ros):
    for name, value in (("backend", "abacus"), ("max_hands", "two"), ("marker_rate_hz", -1.0)):
        with pytest.raises(HandmeshError, match=name):
            DetectorNode(namespace="/bad", parameter_overrides=[Parameter(name, value=value)])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("policy", "value"), [("reliability", "banana"), ("depth", -3)])
def test_a_wrong_qos_override_is_one_sentence(make_rig, lazy, policy, value):
    name = f"qos_overrides./wrong_qos/image.subscription.{policy}"
    rig = make_rig(start=False, remappings=["image:=/wrong_qos/image"], lazy=lazy, **{name: value})
    assert rig.run(rig.node.start) is lazy, "only who subscribes at once can tell at once"
    if lazy:
        rig.listen("hands", HandMeshArray)
    told = "/wrong_qos/image cannot be subscribed to"
    rig.wait_for(lambda: any(told in text for text in rig.logs))
    time.sleep(0.5)
    said = [text for text in rig.logs if told in text]
    assert len(said) == 1 and "correct its qos_overrides" in said[0]
    assert not any("Traceback" in text for text in rig.logs)


def test_a_missing_model_keeps_the_node_unconfigured_and_says_so(make_rig):
    rig = make_rig(start=False, model="/nowhere/model.onnx")
    assert rig.run(rig.node.trigger_configure) == FAILURE
    assert state_of(rig) == State.PRIMARY_STATE_UNCONFIGURED
    rig.wait_for(lambda: rig.logs)
    assert rig.logs[-1].startswith("Cannot configure: There is no model at /nowhere/model.onnx")


def test_a_failed_activation_leaves_an_inactive_node(make_rig, image):
    problems = []

    def load(parameters):
        if problems:
            raise HandmeshError(problems.pop())
        return load_estimator(parameters)

    rig = make_rig(load=load)
    hands = rig.listen("hands", HandMeshArray)
    assert rig.run(rig.node.trigger_deactivate) == SUCCESS
    problems.append("The model is gone.")
    assert rig.run(rig.node.trigger_activate) == FAILURE
    assert state_of(rig) == State.PRIMARY_STATE_INACTIVE
    assert not any(publisher.is_activated for publisher in rig.node._publishers_made)
    assert rig.run(rig.node.trigger_activate) == SUCCESS
    rig.send_until(lambda: hands, "image", image)


@pytest.mark.parametrize("damage", ["truncated", "not a graph", "other mesh"])
def test_a_damaged_model_keeps_the_node_unconfigured_and_says_so(
    make_rig, tiny_model, tmp_path, damage
):
    from handmesh_ros.inference.sidecar import Sidecar

    model = tmp_path / "model.onnx"
    shutil.copy(tiny_model, model)
    sidecar = Sidecar.read(tiny_model.with_suffix(".json"))
    if damage == "truncated":
        model.write_bytes(model.read_bytes()[:-100])
    elif damage == "not a graph":
        import hashlib

        model.write_bytes(b"no graph")
        sidecar = replace(sidecar, onnx_sha256=hashlib.sha256(b"no graph").hexdigest())
    else:
        sidecar = replace(sidecar, hand_model=replace(sidecar.hand_model, sha256="0" * 64))
    sidecar.write(model.with_suffix(".json"))
    rig = make_rig(start=False, model=str(model))
    assert rig.run(rig.node.trigger_configure) == FAILURE
    assert state_of(rig) == State.PRIMARY_STATE_UNCONFIGURED
    rig.wait_for(lambda: rig.logs)
    assert "Traceback" not in rig.logs[-1]


def test_the_whole_life_twice(make_rig, image):
    rig = make_rig(start=False)
    hands = rig.listen("hands", HandMeshArray)
    markers = rig.listen("markers", MarkerArray)
    for _ in range(2):
        assert rig.run(rig.node.trigger_configure) == SUCCESS
        for _ in range(2):
            assert rig.run(rig.node.trigger_activate) == SUCCESS
            count = len(hands), len(markers)
            rig.send_until(lambda: len(hands) > count[0], "image", image)  # noqa: B023
            rig.send_until(lambda: len(markers) > count[1], "image", image)  # noqa: B023
            assert rig.run(rig.node.trigger_deactivate) == SUCCESS
            rig.wait_for(
                lambda: all(marker.action == Marker.DELETE for marker in markers[-1].markers)
            )
        assert rig.run(rig.node.trigger_cleanup) == SUCCESS
        assert state_of(rig) == State.PRIMARY_STATE_UNCONFIGURED
    assert rig.run(rig.node.trigger_shutdown) == SUCCESS


def test_shutting_down_while_active(make_rig, image):
    rig = make_rig()
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert rig.run(rig.node.trigger_shutdown) == SUCCESS
    assert state_of(rig) == State.PRIMARY_STATE_FINALIZED


def test_a_refinement_model_that_cannot_be_used_is_said_at_the_start(make_rig, image):
    rig = make_rig(refinement_model="/no/such.onnx")
    rig.wait_for(lambda: any("Hands are not refined: There is no model" in t for t in rig.logs))
    hands = rig.listen("hands", HandMeshArray)
    rig.send_until(lambda: hands, "image", image)
    assert len(hands[-1].hands) == 2 and not hands[-1].hands[0].refined


def test_only_models_that_run_are_named(make_rig, image):
    rig = make_rig(refinement_model="refine", refine_hands=False)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    said = {
        "hands": rig.listen("hands", HandMeshArray),
        "topology": rig.listen("topology", HandTopology, latched),
        "diagnostics": rig.listen("/diagnostics", DiagnosticArray),
    }

    def models() -> dict[str, str]:
        """What each topic names last."""
        if not all(said.values()):
            return {}
        values = {pair.key: pair.value for pair in said["diagnostics"][-1].status[0].values}
        named = {name: said[name][-1].model_id for name in ("hands", "topology")}
        return {**named, "diagnostics": values["model"]}

    rig.send_until(models, "image", image)
    assert set(models().values()) == {"tiny-test"}
    refine = [Parameter("refine_hands", value=True)]
    assert rig.run(lambda: rig.node.set_parameters(refine))[0].successful
    both = f"tiny-test + {Sidecar.read(REFINEMENT_MODEL.with_suffix('.json')).model_id}"
    rig.send_until(lambda: set(models().values()) == {both}, "image", image)


def test_what_is_not_wanted_is_not_missed(make_rig):
    rig = make_rig(refinement_model="/no/such.onnx", refine_hands=False)
    reports = rig.listen("/diagnostics", DiagnosticArray)
    rig.wait_for(lambda: reports)
    assert "not refined because" not in {pair.key for pair in reports[-1].status[0].values}
    assert not any("not refined" in text for text in rig.logs)

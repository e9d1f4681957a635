"""The detector: a lifecycle node that receives images and publishes hands.

configure loads the model, activate subscribes, deactivate frees the model. The executor's thread
only receives; a worker processes the newest image, so that a slow network never builds a queue.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.timer import Timer
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.backends.selection import Opener, open_backend
from handmesh_ros.inference.effort import Effort
from handmesh_ros.inference.opening import HandFinder, Models, open_finder
from handmesh_ros.msg import HandMeshArray, HandTopology
from handmesh_ros.ros.calibration.calibration import CalibrationService
from handmesh_ros.ros.conversions.camera_info import CameraInfos
from handmesh_ros.ros.conversions.hand_array import check_hand_layout
from handmesh_ros.ros.conversions.messages import topology_message, wrists_to_bytes
from handmesh_ros.ros.decoding import ImageMessage
from handmesh_ros.ros.depth import DepthScaling
from handmesh_ros.ros.detection import HandDetector
from handmesh_ros.ros.inputs import Inputs
from handmesh_ros.ros.pacing import Throttle
from handmesh_ros.ros.parameters.parameter_server import ParameterServer
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.pipeline import HandPipeline, Result
from handmesh_ros.ros.publishers import diagnostics
from handmesh_ros.ros.publishers.markers import check_marker_layout
from handmesh_ros.ros.publishers.robot_outputs import RobotOutputs
from handmesh_ros.ros.publishers.visualization import VisualizationPublisher
from handmesh_ros.ros.tracking import HandTracking
from handmesh_ros.ros.worker import NewestItemWorker

RESULT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

DEMAND_PERIOD_S = 0.1
"""Period of counting subscribers: matched events would be faster, but Humble has none."""

DIAGNOSTICS_PERIOD_S = 1.0
COMPLAINT_PERIOD_S = 5.0

STOP_PATIENCE_S = 10.0
"""How long deactivation waits for the image that is being processed."""


def load_estimator(
    parameters: Parameters, opener: Opener = open_backend, *, must_refine: bool = False
) -> HandFinder:
    """Load the models that the parameters name.

    Args:
        parameters: of the node.
        opener: loads a graph.
        must_refine: a refinement model that cannot be used is an error.

    Raises:
        HandmeshError: a model or the backend cannot be used.
    """
    names = parameters.model, parameters.detail_model, parameters.refinement_model
    finder = open_finder(
        Models(*names),
        parameters.backend,
        effort=Effort(parameters.effort),
        must_refine=must_refine,
        max_refined_hands=parameters.max_refined_hands,
        threads=parameters.threads or None,
        opener=opener,
    )
    finder.refine = parameters.refine_hands
    return finder


class DetectorNode(LifecycleNode):
    """Publishes the hands in every image.

    Args:
        load: opens the estimator; tests replace it.
        node_options: of rclpy's Node, such as `namespace` and `parameter_overrides`.

    Raises:
        HandmeshError: a parameter given at the start has an impossible value.
    """

    def __init__(
        self,
        load: Callable[[Parameters], HandFinder] = load_estimator,
        **node_options: Any,
    ) -> None:
        super().__init__("detector", **node_options)
        self._parameter_server = ParameterServer(self)
        self._load = load
        self._statistics = diagnostics.Statistics()
        self._throttle = Throttle(COMPLAINT_PERIOD_S)
        self._camera_infos = CameraInfos()
        self._depth = DepthScaling(self._warn)
        self._tracking = HandTracking(self._warn)
        self._calibration = CalibrationService(self, self._depth.meter)
        self._pipeline: HandPipeline | None = None
        self._worker: NewestItemWorker[ImageMessage] | None = None
        self._late_worker: NewestItemWorker[ImageMessage] | None = None
        self._publishers_made: list[Any] = []
        compressed = self.parameters.image_transport == "compressed"
        self._inputs = Inputs(self, is_compressed=compressed)
        self._timers_made: list[Timer] = []
        self._wanted_since_s = 0.0

    @property
    def parameters(self) -> Parameters:
        """The parameters in force."""
        return self._parameter_server.current

    def start(self) -> bool:
        """Configure and activate, as a lifecycle manager would; return whether both succeeded."""
        return (
            self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and self.trigger_activate() == TransitionCallbackReturn.SUCCESS
        )

    def stop(self) -> None:
        """Deactivate the node if it is active."""
        if self._worker is not None:
            self.trigger_deactivate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and create the publishers."""
        undo = (self._deactivate, self._destroy_publishers)
        steps = (self._open_model, self._create_publishers)
        return self._transition("configure", state, *steps, undo=undo)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish the topology and watch for subscribers."""
        enable, disable = super().on_activate, super().on_deactivate
        undo = (self._deactivate, lambda: disable(state))
        return self._transition(
            "activate", state, lambda: enable(state), self._activate, undo=undo
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, delete the markers and free the model."""
        disable = super().on_deactivate
        return self._transition("deactivate", state, self._deactivate, lambda: disable(state))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy the publishers."""
        return self._transition("clean up", state, self._deactivate, self._destroy_publishers)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        return self._transition("shut down", state, self._deactivate, self._destroy_publishers)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured again."""
        return self._transition("recover", state, self._deactivate, self._destroy_publishers)

    def _transition(
        self,
        name: str,
        state: LifecycleState,
        *steps: Callable[[], object],
        undo: tuple[Callable[[], object], ...] = (),
    ) -> TransitionCallbackReturn:
        """Run the steps, or undo them if one fails; rclpy would swallow what they raise."""
        try:
            for step in steps:
                step()
        except HandmeshError as problem:
            self.get_logger().error(f"Cannot {name}: {problem}")
            for step in undo:
                step()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"Cannot {name} from {state.label}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _LifecycleNodeMixin__change_state(  # noqa: N802
        self, transition_id: int
    ) -> TransitionCallbackReturn:
        """Refuse a transition that the present state does not have.

        rclpy raises instead, so that the service change_state would never answer; its private
        method is the only place that both the service and the triggers pass through.
        """
        state = self._state_machine.current_state[1]
        possible = {each[0]: each[1] for each in self._state_machine.available_transitions}
        if transition_id in possible:
            return super()._LifecycleNodeMixin__change_state(transition_id)  # type: ignore[misc]
        names = ", ".join(f"{label} ({number})" for number, label in possible.items())
        self.get_logger().error(
            f"There is no transition {transition_id} from the state {state}: ask for one of "
            f"{names}."
        )
        return TransitionCallbackReturn.FAILURE

    def _open_model(self) -> None:
        if self._pipeline is not None:
            return
        estimator = self._load(self.parameters)
        try:
            template = HandTemplate.bundled()
            check_marker_layout()
            check_hand_layout()
            detector = HandDetector(estimator, template, self._camera_infos, self._warn)
        except HandmeshError:
            estimator.close()
            raise
        self._pipeline = HandPipeline(detector, self._depth, self._tracking)
        self.get_logger().info(f"{estimator.model_id} runs on {estimator.backend.name}")
        if lack := diagnostics.describe_models(estimator).get(diagnostics.NOT_REFINED):
            self._warn(f"Hands are not refined: {lack}")

    def _create_publishers(self) -> None:
        def create(kind: type, topic: str, qos: QoSProfile | int) -> Any:
            self._publishers_made.append(self.create_lifecycle_publisher(kind, topic, qos))
            return self._publishers_made[-1]

        self._robot = RobotOutputs(create, self.parameters, self._warn)
        self._hands = create(HandMeshArray, "hands", RESULT_QOS)
        self._hands_raw = create(HandMeshArray, "hands_raw", RESULT_QOS)
        self._wrists = create(PoseArray, "wrists", RESULT_QOS)
        self._topology = create(HandTopology, "topology", LATCHED_QOS)
        self._markers = create(MarkerArray, "markers", RESULT_QOS)
        self._overlay = create(Image, "overlay", RESULT_QOS)
        self._diagnostics = create(DiagnosticArray, "/diagnostics", RESULT_QOS)

    def _destroy_publishers(self) -> None:
        for publisher in self._publishers_made:
            self.destroy_lifecycle_publisher(publisher)
        self._publishers_made = []

    def _activate(self) -> None:
        if self._late_worker is not None and self._late_worker.is_alive:
            raise HandmeshError(
                "The network still works on an image from before the node was deactivated: "
                "activate it later, or start its process again."
            )
        self._late_worker = None
        self._open_model()
        assert self._pipeline is not None
        template = self._pipeline.detector.template
        self._topology_model_id = ""
        self._publish_topology(self._pipeline)
        self._visualization = VisualizationPublisher(template, self._markers, self._overlay)
        self._worker = NewestItemWorker(self._process, self._complain)
        self._inputs.add_calibration(self._camera_infos.update)
        # Not the node's clock: simulated time stands still while no bag is played.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers_made = [
            self.create_timer(DEMAND_PERIOD_S, self._follow_demand_on, clock=steady),
            self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady),
        ]
        self._follow_demand()

    def _deactivate(self) -> None:
        for timer in self._timers_made:
            self.destroy_timer(timer)
        self._timers_made = []
        self._inputs.close()
        if self._worker is not None:
            worker, self._worker = self._worker, None
            if not worker.stop(STOP_PATIENCE_S):
                # Closed under a running call, a model would free memory that is in use.
                self._late_worker, self._pipeline = worker, None
                self.get_logger().warning(
                    f"The network has worked on one image for {STOP_PATIENCE_S:g} s and does not "
                    "end, so its model stays loaded until this process ends."
                )
            self._tracking.pause()
            self._visualization.clear()
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _publish_topology(self, pipeline: HandPipeline) -> None:
        """Publish the topology; again where `refine_hands` changes which models run."""
        if pipeline.model_id != self._topology_model_id:
            self._topology_model_id = pipeline.model_id
            template = pipeline.detector.template
            self._topology.publish(topology_message(template, pipeline.model_id))

    def _is_wanted(self) -> bool:
        """Return whether any result has a subscriber."""
        results = (self._hands, self._hands_raw, self._wrists, self._markers, self._overlay)
        everything = (*results, *self._robot.publishers)
        return any(publisher.get_subscription_count() for publisher in everything)

    def _follow_demand(self) -> None:
        """Subscribe to images only while results have subscribers, to save transport."""
        wanted, subscribed = not self.parameters.lazy or self._is_wanted(), self._inputs.has_images
        if wanted and not subscribed:
            self._wanted_since_s = time.monotonic()
            use_depth = self.parameters.use_depth
            self._inputs.add_images(self._receive, self._depth.receive if use_depth else None)
        elif subscribed and not wanted:
            self._inputs.remove_images()
            self._tracking.pause()

    def _follow_demand_on(self) -> None:
        try:
            self._follow_demand()
        except HandmeshError as problem:
            self._complain(problem)

    def _receive(self, message: ImageMessage) -> None:
        if self._worker is not None:
            self._statistics.receive(dropped=self._worker.put(message))

    def _process(self, message: ImageMessage) -> None:
        """Take one image through the pipeline; runs on the worker's thread."""
        pipeline, parameters = self._pipeline, self.parameters
        assert pipeline is not None
        publish = partial(self._publish, pipeline=pipeline, parameters=parameters)
        pipeline.process(message, parameters, publish, now_s=self._now_s)

    def _publish(self, result: Result, *, pipeline: HandPipeline, parameters: Parameters) -> None:
        """Publish the hands of one image, each form only if it has subscribers."""
        if pipeline is not self._pipeline:
            return  # The node was deactivated in the meantime.
        self._publish_topology(pipeline)
        result.latency.age_ms = self._age_ms(result.detection.header)
        self._hands.publish(result.array.to_bytes(result.latency))
        if self._wrists.get_subscription_count():
            self._wrists.publish(wrists_to_bytes(result.array))
        if self._hands_raw.get_subscription_count():
            raw = pipeline.raw_array(result, parameters)
            self._hands_raw.publish(raw.to_bytes(result.latency))
        self._robot.publish(result.detection.header, result.taken, result.tracked, parameters)
        self._visualization.publish(result.detection, result.tracked, parameters)
        self._statistics.finish(diagnostics.FrameRecord.of(result, finished_s=time.monotonic()))

    def _now_s(self) -> float:
        return 1e-9 * self.get_clock().now().nanoseconds

    def _age_ms(self, header: Header) -> float:
        if header.stamp.sec < 0 or (header.stamp.sec == 0 and header.stamp.nanosec == 0):
            return float("nan")  # No stamp, or a broken one.
        if not self.get_clock().now().nanoseconds:
            return float("nan")  # Simulated time has not begun.
        age = self.get_clock().now() - Time.from_msg(header.stamp, self.get_clock().clock_type)
        return 1e-6 * age.nanoseconds

    def _warn(self, text: str) -> None:
        now_s = time.monotonic()
        self._statistics.warn(text, now_s)
        if self._throttle.allows(text, now_s):
            self.get_logger().warning(text)

    def _complain(self, error: Exception) -> None:
        """Log what is wrong with an image; the next one may be good."""
        known = isinstance(error, HandmeshError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        now_s = time.monotonic()
        self._statistics.fail(text, now_s)
        if self._throttle.allows(text, now_s):
            trace = "" if known else "\n" + "".join(traceback.format_exception(error))
            self.get_logger().error(text + trace)

    def _publish_diagnostics(self) -> None:
        self._inputs.listen_to_latched()
        now_s = time.monotonic()
        assert self._pipeline is not None
        image_topic = self._inputs.image_topic
        self._diagnostics.publish(
            diagnostics.status_message(
                self._statistics,
                now=self.get_clock().now(),
                now_s=now_s,
                node_name=self.get_fully_qualified_name(),
                details=diagnostics.describe_models(self._pipeline.detector.estimator),
                wanted_s=now_s - self._wanted_since_s if self._inputs.has_images else None,
                latency_budget_ms=self.parameters.latency_budget_ms,
                image_topic=image_topic,
                is_remapped=self._inputs.is_remapped,
                camera_count=self.count_publishers(image_topic),
            )
        )

"""Hands for the pure parts; detector and client in one process, over real DDS, for the node."""

from __future__ import annotations

import array
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate

HEIGHT, WIDTH = 48, 64
WAIT_S = 30.0


@pytest.fixture(scope="session")
def template() -> HandTemplate:
    return HandTemplate.bundled()


@pytest.fixture
def two_hands(template: HandTemplate) -> Hands:
    """A right and a left hand with random but possible numbers."""
    random = np.random.default_rng(5)
    count, vertex_count = 2, template.vertex_count
    axis_x = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    joints = random.normal([0.1, 0.0, 0.6], 0.05, (count, 21, 3)).astype(np.float32)
    return Hands(
        score=np.array([0.9, 0.7], np.float32),
        right_probability=np.array([0.95, 0.2], np.float32),
        box=np.array([[-5.5, 3.2, 20.1, 30.0], [30, 10, 80, 60]], np.float32),
        keypoints_2d=random.uniform(0, 60, (count, 21, 2)).astype(np.float32),
        joints=joints,
        vertices=random.normal(0.5, 0.1, (count, vertex_count, 3)).astype(np.float32),
        rotations=np.tile(axis_x, (count, 16, 1, 1)),
        shape=random.normal(size=(count, 10)).astype(np.float32),
        translation=joints[:, 0].copy(),
        colors=random.uniform(0, 1, (count, vertex_count, 3)).astype(np.float32),
        scale_source=np.array([0, 2], np.uint8),
    )


class Rig:
    """A detector and a client that talks to it; each is spun by a thread of its own.

    Attributes:
        node: the detector.
        client: a node in the same namespace.
        logs: texts that the detector logged.
    """

    def __init__(self, rclpy: Any, node: Any, namespace: str) -> None:
        from rcl_interfaces.msg import Log
        from rclpy.executors import SingleThreadedExecutor

        self.node = node
        self.client = rclpy.create_node("client", namespace=namespace)
        self.logs: list[str] = []
        self._publishers: dict[str, Any] = {}
        self._stop = threading.Event()
        self.client.create_subscription(Log, "/rosout", self._on_log, 100)
        self._executors = [SingleThreadedExecutor(), SingleThreadedExecutor()]
        self._threads = []
        for executor, spun in zip(self._executors, (self.node, self.client), strict=True):
            executor.add_node(spun)
            self._threads.append(threading.Thread(target=self._spin, args=[executor], daemon=True))
            self._threads[-1].start()

    def listen(self, topic: str, kind: type, qos: Any = 10, raw: bool = False) -> list[Any]:
        """Subscribe; return the list that messages, or their bytes, are appended to."""
        received: list[Any] = []
        self.client.create_subscription(kind, topic, received.append, qos, raw=raw)
        return received

    def run(self, work: Callable[[], Any]) -> Any:
        """Do something on the thread that spins the detector, as services do."""
        future = self._executors[0].create_task(work)
        self.wait_for(future.done)
        return future.result()

    def send(self, topic: str, message: Any) -> None:
        """Publish, as soon as the detector has subscribed."""
        if topic not in self._publishers:
            self._publishers[topic] = self.client.create_publisher(type(message), topic, 1)
        publisher = self._publishers[topic]
        self.wait_for(lambda: publisher.get_subscription_count() > 0)
        publisher.publish(message)

    def send_until(self, condition: Callable[[], Any], topic: str, message: Any) -> None:
        """Publish again and again: what is sent best effort may be lost."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"nothing came of the messages; logs: {self.logs}"
            self.send(topic, message)
            time.sleep(0.03)

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = WAIT_S) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"nothing happened; the detector's logs: {self.logs}"
            time.sleep(0.005)

    def close(self) -> None:
        self.run(self.node.stop)
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)
        for executor in self._executors:
            executor.shutdown()
        self.client.destroy_node()
        self.node.destroy_node()

    def _on_log(self, message: Any) -> None:
        if message.name.endswith("detector"):
            self.logs.append(message.msg)

    def _spin(self, executor: Any) -> None:
        while not self._stop.is_set():
            executor.spin_once(timeout_sec=0.05)


@pytest.fixture
def make_rig(ros: Any, tiny_model: Path, request: pytest.FixtureRequest) -> Iterator[Callable]:
    """Makes a `Rig` whose detector runs the tiny model, active unless `start` is False."""
    from rclpy.parameter import Parameter

    from handmesh_ros.ros.node import DetectorNode, load_estimator

    rigs: list[Rig] = []

    def make(
        load: Callable = load_estimator,
        start: bool = True,
        remappings: Sequence[str] = (),
        **parameters: Any,
    ) -> Rig:
        namespace = f"/rig_{abs(hash(request.node.nodeid)) % 10**8}_{len(rigs)}"
        values = {"model": str(tiny_model), **parameters}
        node = DetectorNode(
            load,
            namespace=namespace,
            cli_args=["--ros-args", *(word for rule in remappings for word in ("-r", rule))],
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        )
        rigs.append(Rig(ros, node, namespace))
        if start:
            assert rigs[-1].run(node.start)
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def image(ros: Any) -> Any:
    """A grey rgb8 Image message, in which the tiny model finds two hands."""
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    return Image(
        header=Header(frame_id="camera"),
        height=HEIGHT,
        width=WIDTH,
        encoding="rgb8",
        step=3 * WIDTH,
        data=array.array("B", bytes([90]) * (3 * WIDTH * HEIGHT)),
    )


@pytest.fixture
def camera_info(ros: Any) -> Any:
    """A calibrated CameraInfo that belongs to `image`."""
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

    focal, center_x, center_y = 60.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    return CameraInfo(
        header=Header(frame_id="camera"),
        height=HEIGHT,
        width=WIDTH,
        k=[focal, 0.0, center_x, 0.0, focal, center_y, 0.0, 0.0, 1.0],
    )

"""Rates, drops, latencies and doubts of the last seconds, as diagnostic_msgs for /diagnostics."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

from handmesh_ros.hand.hands import ScaleSource
from handmesh_ros.inference.opening import HandFinder
from handmesh_ros.inference.refining import RefiningEstimator
from handmesh_ros.ros.pipeline import Result

WINDOW_S = 5.0

OTHER_CLOCK_MS = 60_000.0
"""Images this old are stamped by another clock."""

GRACE_S = 2.0
"""After images are first wanted, how long neither they nor camera_info are missed."""

MAX_RECORDS = 2000
NOT_REFINED = "not refined because"
OK, WARN = bytes([0]), bytes([1])


def describe_models(estimator: HandFinder) -> dict[str, str]:
    """Return pairs for diagnostics: the models that run now, the backend, what is missing."""
    details = {"model": estimator.model_id, "backend": estimator.backend.name}
    if isinstance(estimator, RefiningEstimator) and estimator.refine and estimator.lack:
        details[NOT_REFINED] = estimator.lack
    return details


@dataclass(frozen=True)
class FrameRecord:
    """One processed image.

    Attributes:
        finished_s: monotonic time.
        hands: that were found.
        age_ms: of the image when its hands were published; not a number without a stamp.
        preprocess_ms, inference_ms, decode_ms, publish_ms: as in LatencyBreakdown.msg.
        scale_sources: `ScaleSource` values of the hands, each once.
        calibrated: a camera_info was used.
        is_full: detection ran on the whole image, not only where hands were expected.
        crops: number of hand crops that were read.
    """

    finished_s: float
    hands: int
    age_ms: float
    preprocess_ms: float
    inference_ms: float
    decode_ms: float
    publish_ms: float
    scale_sources: tuple[int, ...] = ()
    calibrated: bool = True
    is_full: bool = True
    crops: int = 0

    @classmethod
    def of(cls, result: Result, *, finished_s: float) -> FrameRecord:
        """Return the record of an image whose hands have just been published."""
        latency = result.latency
        return cls(
            finished_s=finished_s,
            hands=len(result.hands),
            age_ms=latency.age_ms,
            preprocess_ms=latency.preprocess_ms,
            inference_ms=latency.inference_ms,
            decode_ms=latency.decode_ms,
            publish_ms=latency.publish_ms,
            scale_sources=tuple(np.unique(result.array.hands["scale_source"]).tolist()),
            calibrated=result.detection.calibrated,
            is_full=result.detection.is_full,
            crops=result.detection.crops,
        )


class Statistics:
    """Collects records from the worker and complaints from everywhere; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: deque[FrameRecord] = deque(maxlen=MAX_RECORDS)
        self._received = self._dropped = self._failed = 0
        self._problem = ""
        self._problem_s = -WINDOW_S

    def receive(self, *, dropped: bool) -> None:
        """Count an image that came, and the older one that it replaced."""
        with self._lock:
            self._received += 1
            self._dropped += dropped

    def finish(self, record: FrameRecord) -> None:
        """Remember a processed image."""
        with self._lock:
            self._frames.append(record)

    def fail(self, problem: str, now_s: float) -> None:
        """Count an image without result, and remember why."""
        with self._lock:
            self._failed += 1
            self._problem, self._problem_s = problem, now_s

    def warn(self, problem: str, now_s: float) -> None:
        """Remember what makes results worse, such as depth that cannot be used."""
        with self._lock:
            self._problem, self._problem_s = problem, now_s

    def summary(self, now_s: float) -> dict[str, float | int | str]:
        """Return the numbers of the last `WINDOW_S` seconds and the counts since the start."""
        with self._lock:
            recent = [frame for frame in self._frames if now_s - frame.finished_s <= WINDOW_S]
            counts = {
                "images received": self._received,
                "images dropped for newer ones": self._dropped,
                "images failed": self._failed,
            }
            problem = self._problem if now_s - self._problem_s <= WINDOW_S else ""
        numbers: dict[str, float | int | str] = {"rate [Hz]": len(recent) / WINDOW_S, **counts}
        numbers["hands in the last image"] = recent[-1].hands if recent else 0
        numbers["scale source"] = _names(recent)
        numbers["share of full looks"] = _mean([float(frame.is_full) for frame in recent])
        numbers["closer looks an image"] = _mean([float(frame.crops) for frame in recent])
        numbers["calibrated"] = str(bool(recent and recent[-1].calibrated)).lower()
        for part in ("age", "preprocess", "inference", "decode", "publish"):
            values = [getattr(frame, f"{part}_ms") for frame in recent]
            values = [value for value in values if value == value]  # no age without a stamp
            for percent in (50, 95):
                numbers[f"{part} p{percent} [ms]"] = (
                    float(np.percentile(values, percent)) if values else float("nan")
                )
        numbers["problem"] = problem
        return numbers


def status_message(
    statistics: Statistics,
    *,
    now: Time,
    now_s: float,
    node_name: str,
    details: dict[str, str],
    wanted_s: float | None,
    latency_budget_ms: float,
    image_topic: str,
    camera_count: int,
    is_remapped: bool = False,
) -> DiagnosticArray:
    """Return the message.

    Args:
        statistics: of the node.
        now: ROS time for the header.
        now_s: monotonic time of the records.
        node_name: fully qualified.
        details: more pairs, such as model and backend.
        wanted_s: for how long images have been wanted, because somebody subscribes to a result;
            None while nobody does.
        latency_budget_ms: a median age above it is a warning, as are stamps so far ahead.
        image_topic: that images come on, resolved.
        camera_count: publishers of it.
        is_remapped: `image` was remapped to it.
    """
    numbers = statistics.summary(now_s)
    level, text = OK, "finding hands"
    if numbers["problem"]:
        level, text = WARN, str(numbers["problem"])
    elif wanted_s is None:
        text = "idle: nobody subscribes to a result"
    elif not numbers["rate [Hz]"]:
        if camera_count:
            why = (
                "though it has a publisher: is its image larger than the middleware's shared "
                "memory (docs/ros.md), or its QoS another?"
            )
        elif is_remapped:
            why = "which nobody publishes: start the camera, or remap `image` to its topic instead"
        else:
            why = "which nobody publishes: remap `image` to the camera's topic"
        level, text = WARN, f"no images come in on {image_topic}, {why}"
        if wanted_s < GRACE_S:
            level, text = OK, "waiting for the first image"
    else:
        doubts = _doubts(numbers, latency_budget_ms, is_new=wanted_s < GRACE_S)
        if doubts:
            level, text = WARN, "; ".join(doubts)
    values = {**details, **{key: _text(value) for key, value in numbers.items()}}
    return _array(level, text, now, node_name, values)


def _doubts(
    numbers: dict[str, float | int | str], latency_budget_ms: float, *, is_new: bool
) -> list[str]:
    """Return what speaks against the results of the last images."""
    doubts, age_ms = [], float(numbers["age p50 [ms]"])
    if numbers["calibrated"] == "false" and not is_new:
        doubts.append("no usable camera_info: positions rest on an assumed field of view")
    if age_ms > OTHER_CLOCK_MS or age_ms < -latency_budget_ms:
        side = "behind" if age_ms > 0 else "ahead of"
        doubts.append(
            f"image stamps are {round(1e-3 * abs(age_ms), 1):.12g} s {side} the node's clock: set "
            "use_sim_time when a bag plays with --clock, else synchronise the clocks"
        )
    elif age_ms > latency_budget_ms:
        doubts.append(f"results are {age_ms:.0f} ms old, the budget is {latency_budget_ms:.0f} ms")
    return doubts


def _array(
    level: bytes, text: str, now: Time, node_name: str, values: dict[str, str]
) -> DiagnosticArray:
    message = DiagnosticArray()
    message.header.stamp = now.to_msg()
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    message.status.append(
        DiagnosticStatus(
            level=level,
            name=f"{node_name.lstrip('/')}: hand detection",
            message=text,
            hardware_id=node_name,
            values=pairs,
        )
    )
    return message


def _names(frames: list[FrameRecord]) -> str:
    """Return the scale sources of the newest image with hands, as in HandMesh.msg."""
    sources = next((frame.scale_sources for frame in reversed(frames) if frame.hands), ())
    return ", ".join(ScaleSource(source).name for source in sources) or "no hands"


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _text(value: float | int | str) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)

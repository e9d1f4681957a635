"""The node's parameters: one typed schema for the code, the ROS interface, the YAML and the docs.

This module knows nothing of rclpy; `parameter_server` binds it to a node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from handmesh_ros.hand.size import LONGEST_M, SHORTEST_M
from handmesh_ros.inference.backends.selection import BACKEND_NAMES
from handmesh_ros.inference.effort import EFFORT_NAMES, Effort
from handmesh_ros.inference.following import FULL_DETECTION_EVERY
from handmesh_ros.inference.refining import MAX_REFINED_HANDS
from handmesh_ros.ros.parameters.parameter_set import TYPE_NAMES, ParameterSet, parameter
from handmesh_ros.teleop.gestures import PINCH_RATIO
from handmesh_ros.tracking.tracks import Filters

FOV_RANGE_DEG = (10.0, 170.0)
"""What field of view may be assumed."""


def _cutoff(group: str, what: str) -> Any:
    description = f"cut-off of the smoothing of {what} at rest; lower stands stiller"
    default = getattr(Filters(), group).cutoff_hz
    return parameter(default, description, unit="Hz", range=(0.01, 1000.0))


def _beta(group: str, unit: str) -> Any:
    description = "by how much that cut-off rises with speed; higher lags less"
    default = getattr(Filters(), group).beta
    return parameter(default, description, unit=unit, range=(0.0, 1000.0))


def _rest(group: str, what: str, unit: str) -> Any:
    description = f"{what} does not follow deviations much below this; larger stands stiller"
    default = getattr(Filters(), group).rest
    return parameter(default, description, unit=unit, range=(0.0, 1.0))


@dataclass(frozen=True)
class Parameters(ParameterSet):
    """A snapshot of all parameters; what they mean stands beside each."""

    owner: ClassVar[str] = "The detector"
    listed: ClassVar[str] = "docs/parameters.md lists them"

    model: str = parameter(
        "", "name of a bundled model or path, NAME.onnx; empty takes mobile", read_only=True
    )
    detail_model: str = parameter(
        "",
        "the same with a larger input, run on every image as well, for small hands: "
        "mobile_512; empty for none",
        read_only=True,
    )
    refinement_model: str = parameter(
        "",
        "the same for crops of hands; empty takes refine where `model` is bundled, else none",
        read_only=True,
    )
    effort: str = parameter(
        Effort.FAST.value,
        "computational effort: balanced detects at two input sizes and retries rejected "
        "candidates; best adds overlapping tiles, far below camera rate on a CPU",
        choices=EFFORT_NAMES,
        read_only=True,
    )
    refine_hands: bool = parameter(
        True,
        "refine each hand on its own crop of the image; false keeps the first network's result",
    )
    max_refined_hands: int = parameter(
        MAX_REFINED_HANDS,
        "so many hands of an image at most; others are those of the first network",
        range=(1, 64),
    )
    look_every: int = parameter(
        FULL_DETECTION_EVERY,
        "period of full detection, images; in between, known hands are read from their crops "
        "alone, unless one is lost; 1 detects in every image",
        range=(1, 100),
    )
    backend: str = parameter(
        "auto",
        "what runs the network",
        choices=("auto", *BACKEND_NAMES),
        read_only=True,
    )
    threads: int = parameter(
        0, "CPU threads of the network; 0 lets the backend choose", range=(0, 256), read_only=True
    )
    autostart: bool = parameter(
        True,
        "go to the active state by itself; false waits for a lifecycle manager",
        read_only=True,
    )
    image_transport: str = parameter(
        "raw",
        "subscribe to `image` (raw) or to `image/compressed` (compressed)",
        choices=("raw", "compressed"),
        read_only=True,
    )
    max_pixels: int = parameter(
        100_000_000, "larger images are refused before they are decoded", range=(1, 2**30)
    )
    image_is_rectified: bool = parameter(
        False, "take the projection matrix P of camera_info instead of the camera matrix K"
    )
    undistort: bool = parameter(
        False,
        "undo the lens distortion of camera_info; pixels in messages are then those of the "
        "undistorted image; no effect with `image_is_rectified`",
    )
    assumed_fov_deg: float = parameter(
        60.0,
        "field of view across the longer image side when no usable camera_info comes",
        unit="degrees",
        range=FOV_RANGE_DEG,
    )
    score_threshold: float = parameter(
        0.0, "least score of a published hand; 0 takes the model's own threshold", range=(0.0, 1.0)
    )
    max_hands: int = parameter(
        0,
        "publish at most this many hands: those followed already, then the best; 0 publishes all",
        range=(0, 100),
    )
    left_hand_length_m: float = parameter(
        0.0,
        "length of the left hand along its bones, wrist to middle fingertip; 0 takes the "
        "stored one, else assumes one",
        unit="m",
        range=(SHORTEST_M, LONGEST_M),
        or_zero=True,
    )
    right_hand_length_m: float = parameter(
        0.0,
        "the same of the right hand",
        unit="m",
        range=(SHORTEST_M, LONGEST_M),
        or_zero=True,
    )
    calibration_file: str = parameter(
        "",
        "where the service calibrate_hand stores lengths; empty: "
        "handmesh_ros/hand_lengths.yaml in $ROS_HOME or ~/.ros",
        read_only=True,
    )
    use_depth: bool = parameter(
        False,
        "subscribe to `depth`, aligned with the image, and take the hands' size from it",
        read_only=True,
    )
    depth_slop_s: float = parameter(
        0.02,
        "a depth image belongs to an image when their stamps differ by this at most",
        unit="s",
        range=(0.0, 1.0),
    )
    depth_unit_m: float = parameter(
        0.0,
        "what 1 means in depth images; 0 takes 0.001 for 16UC1 and 1 for 32FC1 (REP 118)",
        unit="m",
        range=(1e-6, 1.0),
        or_zero=True,
    )
    track: bool = parameter(
        True, "follow hands from image to image: ids, states, smoothing; false gives each image's"
    )
    lost_after_s: float = parameter(
        0.7,
        "a hand that is not seen is predicted for so long, behind another hand 2.5 times as "
        "long; then it is lost and its id ends; 0 predicts none",
        unit="s",
        range=(0.0, 10.0),
    )
    prediction_limit_ms: float = parameter(
        0.0,
        "carry poses on from the image's stamp to now, by this much at most; 0 does not",
        unit="ms",
        range=(0.0, 300.0),
    )
    smooth: bool = parameter(True, "smooth the hands that are followed (One Euro filters)")
    position_cutoff_hz: float = _cutoff("position", "the position across the viewing ray")
    position_beta: float = _beta("position", "Hz per m/s")
    position_rest: float = _rest("position", "the position across the viewing ray", "rad")
    depth_cutoff_hz: float = _cutoff("depth", "the distance")
    depth_beta: float = _beta("depth", "Hz per m/s")
    depth_rest: float = _rest("depth", "the distance", "of the distance")
    rotation_cutoff_hz: float = _cutoff("rotation", "the wrist's orientation")
    rotation_beta: float = _beta("rotation", "Hz per rad/s")
    fingers_cutoff_hz: float = _cutoff("fingers", "the fingers' pose")
    fingers_beta: float = _beta("fingers", "Hz per rad/s")
    image_cutoff_hz: float = _cutoff("image", "2D keypoints and box")
    image_beta: float = _beta("image", "Hz per box diagonal/s")
    pinch_ratio: float = parameter(
        PINCH_RATIO,
        "a pinch begins when thumb tip and index tip are nearer than this, and ends at 1.27 times "
        "it; larger where the model shows them too far apart",
        unit="of the hand's length",
        range=(0.01, 1.0),
    )
    publish_mesh: bool = parameter(True, "fill vertices and vertex_colors of the hands")
    publish_tf: bool = parameter(
        False, "send the frames of wrists and fingertips to /tf (needs tf2_msgs)", read_only=True
    )
    tf_prefix: str = parameter(
        "", "goes before the names of these frames: right_hand, right_hand_index_tip"
    )
    mesh_color: str = parameter(
        "skin",
        "colour of the mesh markers: the estimated skin, one colour per side or one per id",
        choices=("skin", "side", "id"),
    )
    marker_rate_hz: float = parameter(
        10.0, "markers are published at most this often", unit="Hz", range=(0.1, 120.0)
    )
    marker_lifetime_s: float = parameter(
        0.5, "markers vanish when no new ones come for this long", unit="s", range=(0.05, 60.0)
    )
    overlay_rate_hz: float = parameter(
        15.0, "the overlay is drawn at most this often", unit="Hz", range=(0.1, 120.0)
    )
    lazy: bool = parameter(
        True, "receive images only while someone subscribes to one of the results"
    )
    latency_budget_ms: float = parameter(
        100.0,
        "diagnostics warn when the median age of results is above this",
        unit="ms",
        range=(1.0, 10000.0),
    )


def to_yaml() -> str:
    """Return `config/detect.yaml`: every parameter with its default and its meaning."""
    lines = [
        "# Parameters of the detector node with their defaults.",
        "# Written by `make docs` from handmesh_ros/ros/parameters/schema.py.",
        "/**:",
        "  ros__parameters:",
    ]
    for name, (default, setting) in Parameters.settings().items():
        notes = [setting.description, setting.unit, setting.constraint()]
        notes.append("read-only" if setting.read_only else "")
        lines.append(f"    # {'; '.join(note for note in notes if note)}")
        lines.append(f"    {name}: {_yaml(default)}")
    return "\n".join(lines) + "\n"


def to_markdown() -> str:
    """Return the documentation table."""
    lines = [
        "# Parameters of the detector node",
        "",
        "Written by `make docs` from `handmesh_ros/ros/parameters/schema.py`.",
        "Those marked *start* are read-only: they are given when the node starts. All others",
        "change at run time (`ros2 param set /detector score_threshold 0.4`); a value that is not",
        "possible is rejected with the reason.",
        "",
        "| parameter | default | values | unit | | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for name, (default, setting) in Parameters.settings().items():
        values = setting.constraint().replace("|", "\\|") or TYPE_NAMES[type(default)]
        when = "*start*" if setting.read_only else ""
        lines.append(
            f"| `{name}` | `{_yaml(default)}` | {values} | {setting.unit} | {when} "
            f"| {setting.description} |"
        )
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)

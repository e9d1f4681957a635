"""Metric scale of hands from the node's depth images, matched with colour images by stamp."""

from __future__ import annotations

import time
from collections.abc import Callable

from sensor_msgs.msg import Image

from handmesh_ros.common.renamed import renamed_call
from handmesh_ros.depth.images import DepthQueue, depth_to_metres, unit_of
from handmesh_ros.depth.length import LengthMeter
from handmesh_ros.depth.scale import measure_scale, with_depth
from handmesh_ros.depth.units import UnitDoubt, only_possible
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.size import calibrated
from handmesh_ros.ros.detection import Detection
from handmesh_ros.ros.parameters.schema import Parameters


class DepthScaling:
    """Scales hands to the size that aligned depth images show.

    Args:
        warn: receives one sentence when depth cannot be used; hands keep their assumed size then.

    Attributes:
        meter: collects the hand lengths measured by depth.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._queue = DepthQueue()
        self._doubt = UnitDoubt()
        self.meter = LengthMeter()

    def receive(self, message: Image) -> None:
        """Store a depth image."""
        self._queue.put(message)

    def scale(self, detection: Detection, parameters: Parameters) -> Hands:
        """Return the hands of an image, scaled by depth, else by the calibrated hand length."""
        unit_m = parameters.depth_unit_m
        lengths = parameters.left_hand_length_m, parameters.right_hand_length_m
        hands = calibrated(detection.hands, *lengths)
        if not parameters.use_depth or not len(hands):
            return hands
        try:
            message = self._queue.find(detection.header, parameters.depth_slop_s)
            size = detection.rgb.shape[0], detection.rgb.shape[1]
            depth = detection.align(depth_to_metres(message, size, unit_m))
            scale = only_possible(measure_scale(hands, depth, detection.intrinsics), hands)
        except HandmeshError as problem:
            self._warn(str(problem))
            return hands
        doubt = self._doubt.update(scale, hands, unit_of(message, unit_m))
        if doubt is not None:
            self._warn(doubt)
        hands = with_depth(hands, scale)
        self.meter.add(hands, time.monotonic())
        return hands

    __call__ = renamed_call("scale")

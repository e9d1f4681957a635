"""Markers and overlay, rendered only for subscribers and at a limited rate."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from std_msgs.msg import Header

from handmesh_ros.hand.hands import State
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.ros.conversions.messages import image_message
from handmesh_ros.ros.detection import Detection
from handmesh_ros.ros.pacing import RateCap
from handmesh_ros.ros.parameters.schema import Parameters
from handmesh_ros.ros.publishers.markers import MarkerBuilder
from handmesh_ros.tracking.tracker import TrackedHands
from handmesh_ros.visualization.draw import draw_hands


class VisualizationPublisher:
    """Publishes markers and overlay.

    Args:
        template: whose mesh the hands have.
        markers: publisher of visualization_msgs/MarkerArray.
        overlay: publisher of sensor_msgs/Image.

    Raises:
        HandmeshError: this ROS release lays out MarkerArray differently.
    """

    def __init__(self, template: HandTemplate, markers: Any, overlay: Any) -> None:
        self._template = template
        self._builder = MarkerBuilder(template)
        self._markers, self._overlay = markers, overlay
        self._marker_cap, self._overlay_cap = RateCap(), RateCap()
        self._last_header: Header | None = None

    def publish(self, detection: Detection, tracked: TrackedHands, parameters: Parameters) -> None:
        """Publish for subscribers, at most at the rates of the parameters, without lost hands."""
        now_s, header = time.monotonic(), detection.header
        self._last_header = header
        shown = np.flatnonzero(tracked.state != State.LOST)
        hands = tracked.hands[shown]
        if self._markers.get_subscription_count() and self._marker_cap.is_due(
            now_s, parameters.marker_rate_hz
        ):
            markers = self._builder.build(
                hands,
                header.stamp,
                header.frame_id,
                lifetime_s=parameters.marker_lifetime_s,
                mesh_color=parameters.mesh_color,
                ids=tracked.track_id[shown].tolist() if parameters.track else None,
                seen=tracked.state[shown] == State.TRACKED,
            )
            self._markers.publish(markers)
        if self._overlay.get_subscription_count() and self._overlay_cap.is_due(
            now_s, parameters.overlay_rate_hz
        ):
            drawn = draw_hands(
                detection.rgb,
                hands,
                faces=self._template.closed_faces,
                intrinsics=detection.intrinsics,
            )
            self._overlay.publish(image_message(drawn, header))

    def clear(self) -> None:
        """Delete the markers."""
        if self._last_header is not None:
            header = self._last_header
            self._markers.publish(self._builder.clear(header.stamp, header.frame_id))

"""What files for viewers are made of: `Found`, one image with its hands, and `Output`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from handmesh_ros.hand.hands import Hands
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.media.sources import Source
from handmesh_ros.media.videos import MediaFrame
from handmesh_ros.tracking.tracker import Tracker


@dataclass(frozen=True)
class Found:
    """One image and the hands that were found in it.

    Attributes:
        source: the file that the image is from.
        frame: the image.
        hands: the hands, best score first.
        track_id: (N,) uint32, the same for the same hand of a video; 0 in photographs and for a
            hand that is not tracked.
        intrinsics: (4,) fx, fy, cx, cy pixels that the hands were found with.
        template: of the hand model; its faces belong to `hands.vertices`.
        latency_ms: what finding the hands took.
    """

    source: Source
    frame: MediaFrame
    hands: Hands
    track_id: np.ndarray
    intrinsics: np.ndarray
    template: HandTemplate
    latency_ms: float


class Output(Protocol):
    """Writes the hands of one source after the other to files."""

    def writing(self, source: Source) -> AbstractContextManager[None]:
        """Return the context in which the images of `source` are added.

        Raises:
            HandmeshError: its file cannot be written.
        """
        ...

    def add(self, found: Found) -> None:
        """Add the next image of the source.

        Raises:
            HandmeshError: it cannot be written.
        """
        ...


class TrackIds:
    """Gives the hands of successive frames track ids; the detections stay unchanged."""

    def __init__(self) -> None:
        self._tracker = Tracker(say=lambda _: None)

    def update(self, hands: Hands, frame: MediaFrame) -> np.ndarray:
        """Return (N,) uint32 track ids; 0 in a photograph and for a hand that is not tracked."""
        track_id = np.zeros(len(hands), np.uint32)
        if frame.time_s is not None:
            tracked = self._tracker.update(hands, frame.time_s)
            seen = tracked.observation >= 0
            track_id[tracked.observation[seen]] = tracked.track_id[seen]
        return track_id

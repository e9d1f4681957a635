from types import SimpleNamespace

import numpy as np
import pytest

from handmesh_ros.depth.images import QUEUE_LENGTH, DepthQueue, depth_to_metres
from handmesh_ros.errors import HandmeshError

SIZE = (3, 4)


def header(seconds: float, frame_id: str = "camera") -> SimpleNamespace:
    sec, nanosec = divmod(round(1e9 * seconds), 10**9)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=frame_id)


def depth_message(values: np.ndarray, encoding: str, padding: int = 0, **changes):
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    fields = {
        "header": header(1.0),
        "height": values.shape[0],
        "width": values.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": data.shape[1],
        "data": data.tobytes(),
    }
    return SimpleNamespace(**{**fields, **changes})


MILLIMETRES = np.arange(12, dtype=np.uint16).reshape(SIZE) * 100


def test_millimetres_with_padding_and_both_byte_orders():
    expected = MILLIMETRES.astype(np.float32) * np.float32(1e-3)
    little = depth_message(MILLIMETRES.astype("<u2"), "16UC1", padding=6)
    np.testing.assert_array_equal(depth_to_metres(little, SIZE), expected)
    big = depth_message(MILLIMETRES.astype(">u2"), "16UC1", is_bigendian=1)
    np.testing.assert_array_equal(depth_to_metres(big, SIZE), expected)


def test_metres_that_are_not_finite_are_unknown():
    metres = np.full(SIZE, 0.5, np.float32)
    metres[0, :2] = np.nan, np.inf
    found = depth_to_metres(depth_message(metres, "32FC1"), SIZE)
    assert found[0].tolist() == [0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "rgb8"}, "'rgb8'"),
        ({"width": 8}, "8×3 pixels"),
        ({"data": b"123"}, "truncated"),
        ({"step": 3}, "truncated"),
    ],
)
def test_bad_depth_is_named(changes, words):
    with pytest.raises(HandmeshError, match=words):
        depth_to_metres(depth_message(MILLIMETRES, **{"encoding": "16UC1", **changes}), SIZE)


def test_the_nearest_in_time_is_found_and_old_ones_are_forgotten():
    queue = DepthQueue()
    for number in range(3 * QUEUE_LENGTH):
        queue.put(depth_message(MILLIMETRES, "16UC1", header=header(0.1 * number)))
    newest = 0.1 * (3 * QUEUE_LENGTH - 1)
    assert queue.find(header(newest - 0.11), 0.02).header.stamp == header(newest - 0.1).stamp
    with pytest.raises(HandmeshError, match="s from the colour image"):
        queue.find(header(0.0), 0.02)


@pytest.mark.parametrize(("rate_hz", "late_s"), [(30.0, 0.5), (90.0, 0.25)])
def test_depth_waits_for_a_slow_network_at_the_rates_of_cameras(rate_hz, late_s):
    queue = DepthQueue()
    for number in range(200):
        queue.put(depth_message(MILLIMETRES, "16UC1", header=header(number / rate_hz)))
    wanted = header(round(199 - late_s * rate_hz) / rate_hz)
    assert queue.find(wanted, 0.001).header.stamp == wanted.stamp


def test_no_depth_and_another_frame_are_named():
    queue = DepthQueue()
    with pytest.raises(HandmeshError, match="No depth image"):
        queue.find(header(0.0), 1.0)
    queue.put(depth_message(MILLIMETRES, "16UC1"))
    assert queue.find(header(1.0, ""), 0.02)
    with pytest.raises(HandmeshError, match="'camera'"):
        queue.find(header(1.0, "colour"), 0.02)

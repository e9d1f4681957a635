"""`handmesh quantize`: an exported graph with its convolutions in int8, and its sidecar."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    CalibrationMethod,
    create_calibrator,
)

from handmesh_ros.common.progress import progress
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.base import input_shapes, read_graph
from handmesh_ros.inference.crops import cut_crops, hand_regions
from handmesh_ros.inference.estimator import Estimator
from handmesh_ros.inference.preprocess import Preprocessor, intrinsics_from_fov
from handmesh_ros.inference.refining import CANDIDATE_SCORE
from handmesh_ros.inference.sidecar import Sidecar
from handmesh_ros.media.photos import read_photo
from handmesh_ros.media.sources import find_sources
from handmesh_ros.network.contract import CROPS
from handmesh_ros.training.data.shards import ShardDataset
from handmesh_ros.training.export.quantize_sensitivity import Feed, Shift, outputs_of, shift
from handmesh_ros.training.export.settings import SENSITIVE

JUDGED_IMAGES = 12


def quantize(
    source: str | Path,
    output: str | Path,
    calibration: list[Feed],
    *,
    calibration_name: str = "",
    sensitive: float = SENSITIVE,
) -> Shift:
    """Write an int8 graph and its sidecar.

    Explicit quantisation as TensorRT wants it (Q/DQ pairs, symmetric, zero point 0, biases in
    float32), which ONNX Runtime and OpenVINO run as well: weights per output channel, activations
    per tensor from their range over the calibration images. Where a convolution ends in a clip,
    as every ReLU6 does, its range is the clip's. Everything but convolutions stays float32, and
    so do those that `sensitive` sorts out.

    Args:
        source: NAME.onnx in float32 with its sidecar beside it.
        output: path of the .onnx to write.
        calibration: images like those that the network will see; not the ones it is judged by.
        calibration_name: what they are, for the sidecar.
        sensitive: largest shift (`Shift.keypoints`) that one convolution may cause.

    Returns:
        how far the int8 graph is from the float32 one on the first calibration images.

    Raises:
        HandmeshError: the graph is not float32 or has no convolutions, or there are no images.
    """
    source, output = Path(source), Path(output)
    sidecar, graph = read_graph(source)
    model = onnx.load_from_string(graph)
    _untie(model)
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    if sidecar.precision != "float32" or not convolutions:
        raise HandmeshError(
            f"{source} has no float32 convolutions to quantise (it is {sidecar.precision}): give "
            f"a graph that `handmesh export --precision float32` wrote."
        )
    if not calibration:
        raise HandmeshError("There are no calibration images: give a folder that has some.")
    ranges, clips = _ranges(source, calibration), _clip_ranges(model)

    def without(kept: list[str]) -> bytes:
        return _insert_qdq(model, ranges, clips, kept)

    judged = calibration[:JUDGED_IMAGES]
    expected = outputs_of(graph, judged)
    kept = []
    for name in progress(convolutions, "convolutions one by one"):
        others = [other for other in convolutions if other != name]
        found = outputs_of(without(others), judged)
        if shift(found, expected, sidecar.score_threshold).keypoints > sensitive:
            kept.append(name)
    content = without(kept)
    onnx.checker.check_model(onnx.load_from_string(content))
    total = shift(outputs_of(content, judged), expected, sidecar.score_threshold)
    provenance = {
        "quantized": {
            "from": f"{sidecar.model_id}, sha256 {sidecar.onnx_sha256}",
            "calibration": f"{len(calibration)} images of {calibration_name}",
            "float32_convolutions": f"{len(kept)} of {len(convolutions)}",
        },
        "float32": sidecar.provenance,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    replace(
        sidecar,
        model_id=f"{sidecar.model_id}-int8",
        precision="int8",
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        metrics={},  # Those of the float32 graph do not hold.
        provenance=provenance,
    ).write(output.with_suffix(".json"))
    return total


def calibration_feeds(source: Path, sidecar: Sidecar, count: int) -> list[Feed]:
    """Return images, evenly spread over what is there, as the graph's inputs.

    For a graph that takes crops they are those of the bundled network's candidates in each image;
    images without any are left out.

    Args:
        source: training shards (a folder of .tar files, or one), a photo or a folder of photos.
        sidecar: of the graph.
        count: at most so many.

    Raises:
        HandmeshError: there is nothing at `source`, or a file is damaged.
    """
    if sidecar.takes == CROPS:
        return _crop_feeds(source, sidecar, count)
    preprocessor = Preprocessor(sidecar.input_size)
    feeds = []
    for image, intrinsics in _images(source, count):
        pixels, camera, _ = preprocessor.letterbox(image, intrinsics)
        feeds.append({"image": pixels.copy(), "intrinsics": camera})
    return feeds


def _crop_feeds(source: Path, sidecar: Sidecar, count: int) -> list[Feed]:
    finder = Estimator.from_file(score_threshold=CANDIDATE_SCORE)
    feeds = []
    for image, intrinsics in _images(source, count):
        candidates = finder.detect(image, intrinsics)[: sidecar.max_hands]
        if not len(candidates):
            continue
        regions = hand_regions(candidates.keypoints_2d)
        cameras = np.repeat(intrinsics.astype(np.float32)[None], len(regions), axis=0)
        inputs = (cut_crops(image, regions), regions, cameras)
        feeds.append(dict(zip(input_shapes(sidecar), inputs, strict=True)))
    finder.close()
    return feeds


def _images(source: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if source.suffix == ".tar" or any(source.glob("*.tar")):
        dataset = ShardDataset(source)
        for index in _spread(len(dataset), count):
            sample = dataset[index]
            yield sample.image, sample.intrinsics.astype(np.float64)
        return
    photos = [found.path for found in find_sources(source) if not found.is_video]
    for index in _spread(len(photos), count):
        image = read_photo(photos[index])
        yield image, intrinsics_from_fov(*image.shape[:2])


def _spread(total: int, count: int) -> list[int]:
    wanted = min(total, count)
    return [index * total // wanted for index in range(wanted)]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the calibration images to ONNX Runtime, one by one."""

    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = iter(progress(feeds, "calibration images"))

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def _ranges(source: Path, calibration: list[Feed]) -> Any:
    """Return the range of every convolution's input and output."""
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            source,
            ["Conv"],
            augmented_model_path=os.path.join(folder, "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"symmetric": True},
        )
        calibrator.collect_data(_Reader(calibration))
        return calibrator.compute_data()


def _clip_ranges(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Return the ranges of convolutions that end in a clip from 0, and of these clips.

    What a clip cuts off need not be represented: without this, one large value before a ReLU6
    leaves its 0 to 6 one or two steps of 127.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(name for node in model.graph.node for name in node.input)
    convolved = {node.output[0] for node in model.graph.node if node.op_type == "Conv"}
    ranges: dict[str, list[dict[str, Any]]] = {}
    for node in model.graph.node:
        limits = [constants[name] for name in node.input[1:] if name in constants]
        before = node.input[0] if node.input else ""
        if node.op_type != "Clip" or before not in convolved or uses[before] != 1:
            continue
        if len(limits) == 2:
            low, high = (float(numpy_helper.to_array(limit)) for limit in limits)
            largest = np.float32(max(abs(low), abs(high)))
            for name in (before, node.output[0]):
                ranges[name] = [{"rmin": -largest, "rmax": largest, "symmetric": True}]
    return ranges


def _untie(model: onnx.ModelProto) -> None:
    """Give every convolution weights of its own.

    ONNX Runtime 1.32 cannot load int8 weights that two of them share (the window reader runs
    twice) where `session.x64quantprecision` is set.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    taken: set[str] = set()
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in weights:
            continue
        if node.input[1] in taken:
            own = copy.deepcopy(weights[node.input[1]])
            own.name = f"{own.name} of {node.name}"
            model.graph.initializer.append(own)
            node.input[1] = own.name
        taken.add(node.input[1])


def _insert_qdq(
    model: onnx.ModelProto, ranges: Any, clips: dict[str, list[dict[str, Any]]], kept: list[str]
) -> bytes:
    """Return the graph with Q/DQ pairs around all convolutions but those of `kept`."""
    quantizer = QDQQuantizer(
        copy.deepcopy(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=kept,
        op_types_to_quantize=["Conv"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "TensorQuantOverrides": copy.deepcopy(clips),
        },
    )
    with _quiet():
        quantizer.quantize_model()
    quantizer.model.topological_sort()
    content: bytes = quantizer.model.model.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser's advice, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

"""The sidecar, NAME.json beside NAME.onnx: what the graph is and where it comes from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handmesh_ros.common.files import parse_json
from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.conventions import KEYPOINT_NAMES
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.network.contract import CROPS, IMAGE

FORMAT = "handmesh-graph"
CONTRACT = 1
"""Version of the graph's inputs and outputs (ARCHITECTURE.md) that this runtime speaks."""


@dataclass(frozen=True)
class HandModelReference:
    """Which hand model's mesh a graph puts out.

    Attributes:
        name: the hand model's name.
        sha256: its hash, as `HandTemplate.sha256`.
        vertices: number of vertices V.
    """

    name: str
    sha256: str
    vertices: int

    @classmethod
    def of(cls, template: HandTemplate) -> HandModelReference:
        """Return the reference to `template`."""
        return cls(template.name, template.sha256, template.vertex_count)


@dataclass(frozen=True)
class Sidecar:
    """What a trained graph is; the content of NAME.json.

    Attributes:
        model_id: name and version, goes into every message.
        input_size: (H, W) of the network's input image, pixels.
        max_hands: K, the number of output slots.
        hand_model: the mesh that the graph puts out.
        score_threshold: score above which a slot is a hand, chosen on the validation split.
        precision: of the graph's convolutions: "float32", "float16" or "int8".
        takes: `IMAGE` or `CROPS`. Crops come in batches of any size, `max_hands` at most where a
            backend needs to know.
        onnx_sha256: hex digest of the .onnx file; empty for a training checkpoint.
        training_data: names of the data sets.
        metrics: measured numbers by name.
        licence: licence of the weights.
        provenance: how the weights were made: commands, commit, dates.
    """

    model_id: str
    input_size: tuple[int, int]
    max_hands: int
    hand_model: HandModelReference
    score_threshold: float
    precision: str = "float32"
    takes: str = IMAGE
    onnx_sha256: str = ""
    training_data: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    provenance: Any = ""

    @classmethod
    def read(cls, path: str | Path) -> Sidecar:
        """Read and validate a sidecar.

        Raises:
            HandmeshError: the file is missing, is not JSON, or a field is missing or wrong.
        """
        path = Path(path)
        try:
            content = parse_json(path.read_bytes())
        except OSError as error:
            raise HandmeshError(
                f"Cannot read {path}, the description that belongs beside the model "
                f"({error.strerror}): copy it together with the .onnx file."
            ) from error
        except ValueError as error:
            raise HandmeshError(
                f"{path} is not valid JSON ({error}): copy it again together with the .onnx file."
            ) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise HandmeshError(
                f"{path} does not describe a handmesh graph (its `format` is not {FORMAT!r}): "
                f"export the model with `handmesh export`."
            )
        if content.get("contract") != CONTRACT:
            raise HandmeshError(
                f"{path} follows contract {content.get('contract')!r}, this version of "
                f"handmesh_ros runs contract {CONTRACT}: export the model again or install "
                f"the matching handmesh_ros."
            )
        if content.get("keypoint_order") != list(KEYPOINT_NAMES):
            raise HandmeshError(
                f"{path} lists the keypoints in another order than handmesh_ros "
                f"({KEYPOINT_NAMES[0]}, {KEYPOINT_NAMES[1]}, …): export the model again."
            )
        try:
            return cls._from_content(content)
        except KeyError as error:
            raise HandmeshError(
                f"{path} lacks the field {error}: export the model again with `handmesh export`."
            ) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise HandmeshError(
                f"{path} has a wrong field ({error}): export the model again with "
                "`handmesh export`."
            ) from error

    @classmethod
    def _from_content(cls, content: dict[str, Any]) -> Sidecar:
        height, width = (_whole(length) for length in content["input_size"])
        max_hands = _whole(content["max_hands"])
        threshold = _number(content["score_threshold"])
        if min(height, width, max_hands) < 1:
            raise ValueError("input_size and max_hands must be positive")
        if not 0.0 <= threshold <= 1.0:
            raise ValueError("score_threshold must lie in [0, 1]")
        takes = _text(content.get("takes", IMAGE))
        if takes not in (IMAGE, CROPS):
            raise ValueError(f"takes must be {IMAGE!r} or {CROPS!r}, not {takes!r}")
        hand_model = content["hand_model"]
        return cls(
            model_id=_text(content["model_id"]),
            input_size=(height, width),
            max_hands=max_hands,
            hand_model=HandModelReference(
                name=_text(hand_model["name"]),
                sha256=_text(hand_model["sha256"]),
                vertices=_whole(hand_model["vertices"]),
            ),
            score_threshold=threshold,
            precision=_text(content.get("precision", "float32")),
            takes=takes,
            onnx_sha256=_text(content["onnx_sha256"]),
            training_data=tuple(_text(name) for name in content.get("training_data", ())),
            metrics=dict(content.get("metrics", {})),
            licence=_text(content.get("licence", "")),
            provenance=content.get("provenance", ""),
        )

    def write(self, path: str | Path) -> None:
        """Write the sidecar as JSON, with format, contract and keypoint order."""
        content = {
            "format": FORMAT,
            "contract": CONTRACT,
            **asdict(self),
            "keypoint_order": list(KEYPOINT_NAMES),
        }
        Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def check_graph(self, graph: bytes, path: str | Path) -> None:
        """Check that `graph`, the content of the .onnx file at `path`, is the one described.

        Raises:
            HandmeshError: the hash differs.
        """
        found = hashlib.sha256(graph).hexdigest()
        if found != self.onnx_sha256:
            raise HandmeshError(
                f"{path} is not the model that its sidecar describes (sha256 {found[:12]}…, "
                f"expected {self.onnx_sha256[:12]}…): the file is damaged or one of the two was "
                f"replaced, so copy both again."
            )

    def check_hand_model(self, template: HandTemplate, path: str | Path | None = None) -> None:
        """Check that `template` is the hand model whose mesh the graph puts out.

        Args:
            template: the hand model.
            path: of the graph, to be named in the error.

        Raises:
            HandmeshError: name, number of vertices or hash differ.
        """
        wanted, found = self.hand_model, HandModelReference.of(template)
        model = f"{self.model_id} ({path})" if path else self.model_id
        if (wanted.name, wanted.vertices) != (found.name, found.vertices):
            raise HandmeshError(
                f"The model {model} puts out the hand {wanted.name!r} with "
                f"{wanted.vertices} vertices, but {found.name!r} with {found.vertices} was "
                f"loaded: give the hand model that it was trained with."
            )
        if wanted.sha256 != found.sha256:
            raise HandmeshError(
                f"The model {model} was trained with another version of the hand "
                f"{wanted.name!r} (sha256 {wanted.sha256[:12]}…, loaded {found.sha256[:12]}…): "
                f"use the handmesh_ros that the model came with, or train and export it again."
            )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if _number(value) != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)

"""The models that come with the package: one set of weights at two input sizes, and refinement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "models"

CAMERA_MODEL = _FOLDER / "mobile.onnx"
"""384×288 pixels: at camera rate on two CPU cores."""

DETAIL_MODEL = _FOLDER / "mobile_512.onnx"
"""512×512 pixels: finds smaller hands, in twice the time on a CPU; best as the far scale of
`MultiScaleDetector`, because hands that fill the image are too large for it."""

REFINEMENT_MODEL = _FOLDER / "refine.onnx"
"""Crops of 224×224 pixels: reads one hand off each."""

BUNDLED_MODELS = {path.stem: path for path in (CAMERA_MODEL, DETAIL_MODEL, REFINEMENT_MODEL)}


def find_model(model: str | Path | None = None) -> Path:
    """Return where a model lies.

    Args:
        model: the name of a bundled one or the path of any; None or "" takes `CAMERA_MODEL`.
    """
    return BUNDLED_MODELS.get(str(model), Path(model)) if model else CAMERA_MODEL


def files_of(models: Iterable[str | Path | None]) -> Iterator[Path]:
    """Yield the graphs, or checkpoints, of models and the sidecars beside them.

    Args:
        models: as for `find_model`; None and "" for none.
    """
    for path in (find_model(model) for model in models if model):
        yield path
        if path.name:  # "." and "/" have none; opening them reports that they are no model.
            yield path.with_suffix(".json")

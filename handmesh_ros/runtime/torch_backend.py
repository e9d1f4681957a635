"""PyTorch, float32: runs training checkpoints, and is what other backends are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.runtime.sidecar import HandModelReference, Sidecar
from handmesh_ros.training.checkpoint import load_network

CHECKPOINT_SCORE_THRESHOLD = 0.3
"""A checkpoint carries no threshold of its own; exported models bring one from validation."""


class TorchBackend:
    """Runs the network of a training checkpoint, on the GPU where there is one.

    Args:
        path: NAME.ckpt, written by `handmesh train`.
        threads: CPU threads of the whole process; None leaves torch's choice.

    Raises:
        HandmeshError: the file is damaged or is no checkpoint of this network.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        path = Path(path)
        network = load_network(path)
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = network.to(self._device)
        size = network.config.input_size
        self.sidecar = Sidecar(
            model_id=path.stem,
            input_size=(size, size),
            max_hands=network.config.max_hands,
            hand_model=HandModelReference.of(HandTemplate.bundled()),
            score_threshold=CHECKPOINT_SCORE_THRESHOLD,
        )
        device = torch.cuda.get_device_name() if self._device.type == "cuda" else "CPU"
        self.name = f"PyTorch {torch.__version__} on {device}, {torch.get_num_threads()} threads"

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, intrinsics: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network once; see `Backend`."""
        outputs = self._network(
            torch.from_numpy(image).to(self._device),
            torch.from_numpy(intrinsics).to(self._device),
        )
        return {name: values.cpu().numpy() for name, values in outputs.items()}

    def close(self) -> None:
        """Free the network."""
        del self._network

"""PyTorch: runs training checkpoints, and is what other backends are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.runtime.sidecar import HandModelReference, Sidecar
from handmesh_ros.training.checkpoint import load_network
from handmesh_ros.training.precision import with_float16

CHECKPOINT_SCORE_THRESHOLD = 0.3
"""A checkpoint carries no threshold of its own; exported models bring one from validation."""


class TorchBackend:
    """Runs the network of a training checkpoint, on the GPU where there is one.

    Args:
        path: NAME.ckpt, written by `handmesh train`.
        threads: CPU threads of the whole process; None leaves torch's choice.
        cuda_graph: record the network as one CUDA graph, which spares launching each kernel.
        precision: "float32", or "float16" as `handmesh export` writes it.

    Attributes:
        name: what runs it and where, for people.
        sidecar: the description of the network.
        has_graph: whether calls launch one CUDA graph.

    Raises:
        HandmeshError: the file is damaged or is no checkpoint of this network, or there is no GPU
            for a CUDA graph, or it cannot be recorded.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        cuda_graph: bool = False,
        precision: str = "float32",
    ) -> None:
        path = Path(path)
        if cuda_graph and not torch.cuda.is_available():
            raise HandmeshError(
                "PyTorch finds no NVIDIA GPU to record a CUDA graph on: run without cuda_graph, "
                "or install a driver and a torch built for CUDA."
            )
        loaded = load_network(path)
        network = with_float16(loaded) if precision == "float16" else loaded
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = network.to(self._device)
        self.has_graph = cuda_graph
        size = loaded.config.input_size
        self._recording = _Recording(self._network, size) if cuda_graph else None
        self.sidecar = Sidecar(
            model_id=path.stem,
            input_size=(size, size),
            max_hands=loaded.config.max_hands,
            hand_model=HandModelReference.of(HandTemplate.bundled()),
            score_threshold=CHECKPOINT_SCORE_THRESHOLD,
            precision=precision,
        )
        device = torch.cuda.get_device_name() if self._device.type == "cuda" else "CPU"
        how = f"{torch.get_num_threads()} threads" if self._device.type == "cpu" else "eager"
        if cuda_graph:
            how = "CUDA graph"
        self.name = f"PyTorch {torch.__version__} on {device}, {how}, {precision}"

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, intrinsics: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network once; see `Backend`."""
        if self._recording is not None:
            return self._recording(image, intrinsics)
        outputs = self._network(
            torch.from_numpy(image).to(self._device),
            torch.from_numpy(intrinsics).to(self._device),
        )
        return {name: values.cpu().numpy() for name, values in outputs.items()}

    def close(self) -> None:
        """Free the network."""
        del self._network, self._recording


class _Recording:
    """A network recorded as one CUDA graph, with fixed places for what goes in and out.

    Args:
        network: on the GPU.
        size: side of its input image, pixels.

    Raises:
        HandmeshError: it does something that cannot be recorded.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        self._image = torch.zeros(1, size, size, 3, dtype=torch.uint8, device="cuda")
        self._intrinsics = torch.ones(1, 4, device="cuda")
        self._graph = torch.cuda.CUDAGraph()
        try:
            with torch.inference_mode():
                warm_up = torch.cuda.Stream()
                warm_up.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(warm_up):
                    for _ in range(3):
                        network(self._image, self._intrinsics)
                torch.cuda.current_stream().wait_stream(warm_up)
                with torch.cuda.graph(self._graph):
                    self._outputs = network(self._image, self._intrinsics)
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise HandmeshError(
                f"PyTorch cannot record the network as a CUDA graph ({reason}): run it without."
            ) from error
        self._results = {
            name: torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            for name, values in self._outputs.items()
        }

    def __call__(self, image: np.ndarray, intrinsics: np.ndarray) -> dict[str, np.ndarray]:
        self._image.copy_(torch.from_numpy(image))
        self._intrinsics.copy_(torch.from_numpy(intrinsics))
        self._graph.replay()
        for name, values in self._outputs.items():
            self._results[name].copy_(values, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return {name: values.numpy() for name, values in self._results.items()}

"""PyTorch: runs training checkpoints, and is what other backends are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from handmesh_ros.errors import HandmeshError
from handmesh_ros.hand.template import HandTemplate
from handmesh_ros.inference.sidecar import HandModelReference, Sidecar
from handmesh_ros.network.checkpoint import interface_of, load_any
from handmesh_ros.network.contract import CROPS
from handmesh_ros.network.precision import with_float16

Network = Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]

CHECKPOINT_SCORE_THRESHOLD = 0.3
"""A checkpoint carries no threshold of its own; exported models bring one from validation."""


class TorchBackend:
    """Runs the network of a training checkpoint, on the GPU where there is one.

    Args:
        path: NAME.ckpt, written by `handmesh train`.
        threads: CPU threads of the whole process; None leaves torch's choice.
        cuda_graph: record the network as one CUDA graph, which spares launching each kernel.
        compiled: have torch.compile fuse operations before `cuda_graph` records them (takes
            minutes, and Triton).
        precision: "float32", or "float16" as `handmesh export` writes it.

    Attributes:
        name: what runs it and where, for people.
        sidecar: the description of the network.
        has_graph: whether calls launch one CUDA graph.
        device_memory: most bytes of the GPU held at a time since the start; None on the CPU.

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
        compiled: bool = False,
        precision: str = "float32",
    ) -> None:
        path = Path(path)
        if cuda_graph and not torch.cuda.is_available():
            raise HandmeshError(
                "PyTorch finds no NVIDIA GPU to record a CUDA graph on: run without cuda_graph, "
                "or install a driver and a torch built for CUDA."
            )
        loaded = load_any(path)
        takes, shape, max_hands = interface_of(loaded)
        if takes == CROPS and (cuda_graph or precision != "float32"):
            raise HandmeshError(
                f"{path} is a refinement network: it runs in float32 and without cuda_graph, "
                "because its batches have any size."
            )
        network = with_float16(loaded) if precision == "float16" else loaded
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self._device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.cuda.reset_peak_memory_stats()
        self._network = network.to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.has_graph = cuda_graph
        recorded = torch.compile(self._network) if compiled else self._network
        self._recording = _Recording(recorded, shape, self._device) if cuda_graph else None
        self.sidecar = Sidecar(
            model_id=path.stem,
            input_size=shape,
            max_hands=max_hands,
            takes=takes,
            hand_model=HandModelReference.of(HandTemplate.bundled()),
            score_threshold=CHECKPOINT_SCORE_THRESHOLD,
            precision=precision,
        )
        device = torch.cuda.get_device_name() if self._device.type == "cuda" else "CPU"
        how = f"{torch.get_num_threads()} threads" if self._device.type == "cpu" else "eager"
        if cuda_graph:
            how = "compiled, CUDA graph" if compiled else "CUDA graph"
        self.name = f"PyTorch {torch.__version__} on {device}, {how}, {precision}"

    @property
    def device_memory(self) -> int | None:
        """Most bytes of the GPU held at a time since the start; None on the CPU."""
        return torch.cuda.max_memory_allocated() if self._device.type == "cuda" else None

    @torch.inference_mode()
    def infer(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network once; see `Backend`."""
        if self._recording is not None:
            return self._recording.replay(*inputs)
        outputs = self._network(*(torch.from_numpy(v).to(self._device) for v in inputs))
        return {name: values.cpu().numpy() for name, values in outputs.items()}

    def close(self) -> None:
        """Free the network."""
        del self._network, self._recording


class _Recording:
    """A network recorded as one CUDA graph, with fixed places for what goes in and out.

    Results come as one block, so that a call is one copy up, the graph, and one copy down.

    Args:
        network: on the device.
        shape: height and width of its input image, pixels.
        device: the GPU.

    Raises:
        HandmeshError: it does something that cannot be recorded.
    """

    def __init__(self, network: Network, shape: tuple[int, int], device: torch.device) -> None:
        pinned = device.type == "cuda"
        self._image_given = torch.zeros(1, *shape, 3, dtype=torch.uint8, pin_memory=pinned)
        self._image = torch.zeros(1, *shape, 3, dtype=torch.uint8, device=device)
        self._intrinsics = torch.ones(1, 4, device=device)
        self._graph = torch.cuda.CUDAGraph()
        try:
            with torch.inference_mode():
                warm_up = torch.cuda.Stream()
                warm_up.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(warm_up):
                    for _ in range(3):
                        outputs = network(self._image, self._intrinsics)
                torch.cuda.current_stream().wait_stream(warm_up)
                with torch.cuda.graph(self._graph):
                    self._found = _joined(network(self._image, self._intrinsics))
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise HandmeshError(
                f"PyTorch cannot record the network as a CUDA graph ({reason}): run it without."
            ) from error
        self._results = torch.empty(self._found.shape, pin_memory=pinned)
        parts = self._results.split([values.numel() for values in outputs.values()])
        self._views = {
            name: part.reshape(values.shape).numpy()
            for (name, values), part in zip(outputs.items(), parts, strict=True)
        }

    def replay(self, image: np.ndarray, intrinsics: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network; the arrays returned are written over by the next call."""
        self._image_given.copy_(torch.from_numpy(image))
        self._image.copy_(self._image_given, non_blocking=True)
        self._intrinsics.copy_(torch.from_numpy(intrinsics))
        self._graph.replay()
        self._results.copy_(self._found, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return dict(self._views)


def _joined(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([values.reshape(-1) for values in outputs.values()])

"""The CUDA runtime calls that an engine needs: devices, memory, one stream and graphs.

Everything goes through `cuda-bindings`, whose functions return tuples (error, values…); here each
error becomes a `CudaError` with one sentence. Handles and addresses are plain integers outside.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError

_OUT_OF_MEMORY = "cudaErrorMemoryAllocation"
_DRIVER_RELEASES = (Path("/sys/module/nvidia/version"), Path("/etc/nv_tegra_release"))


class CudaError(HandmeshError):
    """A CUDA call failed; the message is one sentence."""


@dataclass(frozen=True)
class Device:
    """One GPU, as far as an engine depends on it.

    Attributes:
        name: as CUDA names it, such as "NVIDIA H200".
        compute_capability: such as "9.0".
        multiprocessors: number of streaming multiprocessors.
        memory: total, bytes.
        driver: CUDA version that the driver speaks, and its release where the system tells it.
    """

    name: str
    compute_capability: str
    multiprocessors: int
    memory: int
    driver: str


class Cuda:
    """CUDA's runtime on the first visible GPU (`CUDA_VISIBLE_DEVICES` chooses it).

    Args:
        bindings: the module `cuda.bindings.runtime` or one of its shape.

    Attributes:
        device: the GPU.

    Raises:
        CudaError: there is no driver or no GPU.
    """

    def __init__(self, bindings: Any) -> None:
        self._bindings = bindings
        status, count = bindings.cudaGetDeviceCount()
        if int(status) != 0 or not count:
            reason = self._describe(status) if int(status) != 0 else "no device"
            raise CudaError(
                f"CUDA finds no usable NVIDIA GPU here ({reason}): install NVIDIA's driver, give "
                f"the container its GPU, or choose the backend onnxruntime."
            )
        self._call("cudaSetDevice", 0)
        properties = self._call("cudaGetDeviceProperties", 0)
        version = self._call("cudaDriverGetVersion")
        releases = [_first_line(path) for path in _DRIVER_RELEASES if path.is_file()]
        self.device = Device(
            name=properties.name.decode().rstrip("\0"),
            compute_capability=f"{properties.major}.{properties.minor}",
            multiprocessors=properties.multiProcessorCount,
            memory=properties.totalGlobalMem,
            driver=", ".join([f"CUDA {version // 1000}.{version % 1000 // 10}", *releases]),
        )

    def malloc(self, size: int) -> int:
        """Return the address of `size` new bytes on the GPU."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Free memory of `malloc`."""
        self._call("cudaFree", address)

    def malloc_pinned(self, size: int) -> int:
        """Return the address of `size` new page-locked bytes on the host."""
        return int(self._call("cudaMallocHost", size))

    def free_pinned(self, address: int) -> None:
        """Free memory of `malloc_pinned`."""
        self._call("cudaFreeHost", address)

    def free_memory(self) -> int:
        """Return how many bytes are free on the GPU."""
        return int(self._call("cudaMemGetInfo")[0])

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        """Start to copy `size` bytes to the GPU."""
        kind = self._bindings.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", device, host, size, kind, stream)

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        """Start to copy `size` bytes from the GPU."""
        kind = self._bindings.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host, device, size, kind, stream)

    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default one."""
        return int(self._call("cudaStreamCreateWithFlags", self._bindings.cudaStreamNonBlocking))

    def destroy_stream(self, stream: int) -> None:
        """Free a stream."""
        self._call("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until everything in the stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Record what `work` puts into the stream and return it as a graph ready to launch.

        Raises:
            HandmeshError: something in `work` cannot be recorded; the stream is usable again.
        """
        mode = self._bindings.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except Exception:
            # Ends the recording; the error of `work` is the one that says why.
            _, graph = self._bindings.cudaStreamEndCapture(stream)
            if graph is not None and int(graph):
                self._bindings.cudaGraphDestroy(graph)
            raise
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            return int(self._call("cudaGraphInstantiateWithFlags", graph, 0))
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        """Start a graph of `capture`."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """Free a graph of `capture`."""
        self._call("cudaGraphExecDestroy", graph)

    @contextmanager
    def out_of_memory_explained(self, what: str) -> Iterator[None]:
        """Say what did not fit when memory runs out inside the block."""
        try:
            yield
        except CudaError as error:
            if _OUT_OF_MEMORY not in str(error):
                raise
            raise CudaError(self.out_of_memory(what)) from error

    def out_of_memory(self, what: str) -> str:
        """Return the sentence for `what` not fitting into the GPU's memory."""
        megabytes = self.free_memory() // 2**20
        return (
            f"The GPU {self.device.name} has too little free memory ({megabytes} MB) for {what}: "
            f"end other programs on it, or choose the backend onnxruntime."
        )

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self._bindings, name)(*arguments)
        if int(status) != 0:
            raise CudaError(
                f"The CUDA call {name} failed with {self._describe(status)}: restart the "
                f"program, and check the GPU with `nvidia-smi` if it happens again."
            )
        return values[0] if len(values) == 1 else values

    def _describe(self, status: Any) -> str:
        _, name = self._bindings.cudaGetErrorName(status)
        _, text = self._bindings.cudaGetErrorString(status)
        return f"{name.decode()}, {text.decode()}"


def open_cuda() -> Cuda:
    """Return CUDA's runtime on the first visible GPU.

    Raises:
        HandmeshError: the package cuda-bindings, the driver or a GPU is missing.
    """
    for module in ("cuda.bindings.runtime", "cuda.cudart"):  # the latter: cuda-python 11
        try:
            return Cuda(importlib.import_module(module))
        except ImportError:
            continue
    raise HandmeshError(
        "TensorRT needs the package cuda-bindings, which is not installed: "
        "pip install cuda-bindings (of your CUDA's major version)."
    )


def host_array(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array over memory that stays where it is, such as that of `malloc_pinned`."""
    size = int(np.prod(shape)) * dtype.itemsize
    content = (ctypes.c_uint8 * size).from_address(address)
    return np.ctypeslib.as_array(content).view(dtype).reshape(shape)


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()

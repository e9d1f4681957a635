"""CUDA's runtime in host memory, of exactly the shape of `cuda.bindings.runtime`.

Functions take positional arguments only and return tuples (error, values…). "GPU" memory is host
memory of its own; work runs when the stream is synchronised and not before, or is recorded while
the stream is being captured, so that a missing copy or a missing wait gives wrong results.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace


class CudaErrorEnum(IntEnum):
    cudaSuccess = 0  # noqa: N815
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorInsufficientDriver = 35  # noqa: N815
    cudaErrorNoDevice = 100  # noqa: N815
    cudaErrorInvalidResourceHandle = 400  # noqa: N815
    cudaErrorLaunchFailure = 719  # noqa: N815
    cudaErrorStreamCaptureUnsupported = 900  # noqa: N815


TEXTS = {2: b"out of memory", 35: b"CUDA driver version is insufficient for CUDA runtime version"}


class Handle:
    """An opaque pointer, as cuda-bindings returns streams and graphs."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __int__(self) -> int:
        return self._value


class FakeCudart:
    """A GPU with some memory.

    Attributes:
        memory: bytes of the GPU.
        live: everything that was made and not freed yet, as (kind, address or handle).
        can_capture: False lets captures fail.
        calls: names of all calls.
    """

    cudaStreamNonBlocking = 1  # noqa: N815
    cudaError_t = CudaErrorEnum  # noqa: N815
    cudaMemcpyKind = IntEnum("cudaMemcpyKind", "cudaMemcpyHostToDevice cudaMemcpyDeviceToHost")  # noqa: N815
    cudaStreamCaptureMode = IntEnum("Mode", {"cudaStreamCaptureModeThreadLocal": 1})  # noqa: N815

    def __init__(self, devices: int = 1, memory: int = 1 << 30, name: str = "Fake GPU") -> None:
        self.devices, self.memory, self.device_name = devices, memory, name
        self.live: dict[tuple[str, int], object] = {}
        self.can_capture = True
        self.launch_error = 0
        self.calls: list[str] = []
        self._queue: list[Callable[[], None]] = []
        self._recording: list[Callable[[], None]] | None = None
        self._next = 1000

    def __getattribute__(self, name: str):
        if name.startswith("cuda") and callable(object.__getattribute__(self, name)):
            object.__getattribute__(self, "calls").append(name)
        return object.__getattribute__(self, name)

    def enqueue(self, stream: int, work: Callable[[], None]) -> bool:
        """Put work into the one stream; False if there is no such stream."""
        if ("stream", int(stream)) not in self.live:
            return False
        (self._queue if self._recording is None else self._recording).append(work)
        return True

    def cudaGetDeviceCount(self):  # noqa: N802
        if self.devices == 0:
            return CudaErrorEnum.cudaErrorInsufficientDriver, None
        return CudaErrorEnum(0), self.devices

    def cudaSetDevice(self, device, /):  # noqa: N802
        return (CudaErrorEnum(0),)

    def cudaGetDeviceProperties(self, device, /):  # noqa: N802
        return CudaErrorEnum(0), SimpleNamespace(
            name=self.device_name.encode() + b"\0",
            major=8,
            minor=7,
            multiProcessorCount=16,
            totalGlobalMem=self.memory,
        )

    def cudaDriverGetVersion(self):  # noqa: N802
        return CudaErrorEnum(0), 12060

    def cudaMemGetInfo(self):  # noqa: N802
        used = sum(len(item) for (kind, _), item in self.live.items() if kind == "device")
        return CudaErrorEnum(0), self.memory - used, self.memory

    def cudaGetErrorName(self, error, /):  # noqa: N802
        return CudaErrorEnum(0), CudaErrorEnum(error).name.encode()

    def cudaGetErrorString(self, error, /):  # noqa: N802
        return CudaErrorEnum(0), TEXTS.get(int(error), b"something")

    def _allocate(self, kind, size):
        buffer = ctypes.create_string_buffer(size + 256)
        address = -(-ctypes.addressof(buffer) // 256) * 256
        self.live[kind, address] = buffer
        return CudaErrorEnum(0), address

    def _remove(self, kind, handle):
        found = self.live.pop((kind, int(handle)), None)
        return (CudaErrorEnum(0 if found is not None else 400),)

    def cudaMalloc(self, size, /):  # noqa: N802
        if self.cudaMemGetInfo()[1] < size + 256:
            return CudaErrorEnum.cudaErrorMemoryAllocation, None
        return self._allocate("device", size)

    def cudaMallocHost(self, size, /):  # noqa: N802
        return self._allocate("pinned", size)

    def cudaFree(self, pointer, /):  # noqa: N802
        return self._remove("device", pointer)

    def cudaFreeHost(self, pointer, /):  # noqa: N802
        return self._remove("pinned", pointer)

    def cudaMemcpyAsync(self, target, source, count, kind, stream, /):  # noqa: N802
        found = self.enqueue(stream, lambda: ctypes.memmove(target, source, count))
        return (CudaErrorEnum(0 if found else 400),)

    def _make(self, kind, item=True):
        self._next += 1
        self.live[kind, self._next] = item
        return CudaErrorEnum(0), Handle(self._next)

    def cudaStreamCreateWithFlags(self, flags, /):  # noqa: N802
        return self._make("stream")

    def cudaStreamDestroy(self, stream, /):  # noqa: N802
        return self._remove("stream", stream)

    def cudaStreamSynchronize(self, stream, /):  # noqa: N802
        work, self._queue = self._queue, []
        for step in work:
            step()
        return (CudaErrorEnum(self.launch_error),)

    def cudaStreamBeginCapture(self, stream, mode, /):  # noqa: N802
        self._recording = []
        return (CudaErrorEnum(0),)

    def cudaStreamEndCapture(self, stream, /):  # noqa: N802
        work, self._recording = self._recording, None
        if not self.can_capture:
            return CudaErrorEnum.cudaErrorStreamCaptureUnsupported, None
        return self._make("graph", work)

    def cudaGraphInstantiateWithFlags(self, graph, flags, /):  # noqa: N802
        return self._make("executable", self.live["graph", int(graph)])

    def cudaGraphDestroy(self, graph, /):  # noqa: N802
        return self._remove("graph", graph)

    def cudaGraphLaunch(self, executable, stream, /):  # noqa: N802
        for step in self.live["executable", int(executable)]:
            self.enqueue(stream, step)
        return (CudaErrorEnum(0),)

    def cudaGraphExecDestroy(self, executable, /):  # noqa: N802
        return self._remove("executable", executable)

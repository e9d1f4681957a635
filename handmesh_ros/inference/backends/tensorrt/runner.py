"""One engine on one stream: pinned buffers, one copy up, one copy down, one CUDA graph."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.backends.tensorrt.build import OPEN
from handmesh_ros.inference.backends.tensorrt.cuda import Cuda, CudaError, host_array

logger = logging.getLogger(__name__)

ALIGNMENT = 256
"""Of every tensor's address, bytes, as TensorRT wants it."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine.

    Attributes:
        shape: fixed, or the largest.
        dtype: of the array on the host.
        is_input: False for outputs.
        is_open: the first dimension may be smaller.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    is_input: bool
    is_open: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


def engine_tensors(trt: Any, engine: Any) -> dict[str, Tensor]:
    """Return the inputs and outputs of an engine by name.

    Raises:
        HandmeshError: one has a type that the runtime does not exchange.
    """
    types: dict[Any, np.dtype[Any]] = {
        trt.DataType.UINT8: np.dtype(np.uint8),
        trt.DataType.FLOAT: np.dtype(np.float32),
    }
    tensors = {}
    largest = 0
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = engine.get_tensor_dtype(name)
        if dtype not in types:
            raise HandmeshError(
                f"The tensor `{name}` of the engine has the type {dtype}, the runtime gives "
                f"uint8 and takes float32: export the model again with `handmesh export`."
            )
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        shape = tuple(engine.get_tensor_shape(name))
        is_open = shape[:1] == (OPEN,)
        if is_open and is_input:
            largest = tuple(engine.get_tensor_profile_shape(name, 0)[-1])[0]
        tensors[name] = Tensor(shape, types[dtype], is_input, is_open)
    return {
        name: replace(tensor, shape=(largest, *tensor.shape[1:])) if tensor.is_open else tensor
        for name, tensor in tensors.items()
    }


class _Block:
    """Several tensors in one piece of memory, once on the host and once on the GPU."""

    def __init__(self, cuda: Cuda, tensors: dict[str, Tensor], resources: ExitStack) -> None:
        self.size = 0
        offsets = {}
        for name, tensor in tensors.items():
            offsets[name] = self.size
            self.size += -(-tensor.size // ALIGNMENT) * ALIGNMENT
        self.host = cuda.malloc_pinned(self.size)
        resources.callback(cuda.free_pinned, self.host)
        self.device = cuda.malloc(self.size)
        resources.callback(cuda.free, self.device)
        self.addresses = {name: self.device + offset for name, offset in offsets.items()}
        self.arrays = {
            name: host_array(self.host + offsets[name], tensor.shape, tensor.dtype)
            for name, tensor in tensors.items()
        }


class EngineRunner:
    """Runs an engine; inputs and outputs have fixed shapes, but for a batch that may be open.

    Everything of a call (the upload, the network, the download) is recorded once as a CUDA graph
    and launched at once afterwards; where it cannot be recorded, or the batch is open, the parts
    are started one by one.

    Args:
        trt: the library that made the engine.
        cuda: the GPU.
        engine: deserialized.

    Attributes:
        tensors: inputs and outputs by name.
        device_memory: bytes on the GPU for buffers and activations, without the weights.

    Raises:
        HandmeshError: the GPU's memory is too small or the first run fails.
    """

    def __init__(self, trt: Any, cuda: Cuda, engine: Any) -> None:
        self._cuda = cuda
        self.tensors = engine_tensors(trt, engine)
        inputs = {name: tensor for name, tensor in self.tensors.items() if tensor.is_input}
        outputs = {name: tensor for name, tensor in self.tensors.items() if not tensor.is_input}
        with ExitStack() as resources:
            with cuda.out_of_memory_explained("the network's buffers"):
                self._inputs = _Block(cuda, inputs, resources)
                self._outputs = _Block(cuda, outputs, resources)
            self._context = engine.create_execution_context()
            if self._context is None:
                raise CudaError(cuda.out_of_memory("the network"))
            for block in (self._inputs, self._outputs):
                for name, address in block.addresses.items():
                    if not self._context.set_tensor_address(name, address):
                        raise HandmeshError(
                            f"The engine does not take the address of `{name}`: build it again "
                            f"with `handmesh engine build --force`."
                        )
            self.device_memory = (
                _activation_memory(engine) + self._inputs.size + self._outputs.size
            )
            self._batch = 0
            self._is_open = any(tensor.is_open for tensor in self.tensors.values())
            self._stream = cuda.create_stream()
            resources.callback(cuda.destroy_stream, self._stream)
            self._graph = self._record(resources)
            self._resources = resources.pop_all()

    @property
    def has_graph(self) -> bool:
        """Whether calls launch a CUDA graph."""
        return self._graph is not None

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the engine once.

        Args:
            inputs: by name, of the shapes and types of `tensors`; an open batch may be smaller.

        Returns:
            The outputs by name; the arrays are the runner's own and change with the next call.

        Raises:
            HandmeshError: the GPU reports a failure.
        """
        for name, array in self._inputs.arrays.items():
            given = inputs[name]
            np.copyto(array[: len(given)], given, casting="no")
        if self._is_open:
            self._set_batch(len(given))
        if self._graph is not None:
            self._cuda.launch(self._graph, self._stream)
        else:
            self._enqueue()
        self._cuda.synchronize(self._stream)
        return {
            name: array[: self._batch] if self.tensors[name].is_open else array
            for name, array in self._outputs.arrays.items()
        }

    def close(self) -> None:
        """Free everything; the arrays of the last call must not be touched afterwards."""
        self._outputs.arrays.clear()
        self._inputs.arrays.clear()
        self._context = None
        self._resources.close()

    def _set_batch(self, size: int) -> None:
        if size == self._batch:
            return
        for name, tensor in self.tensors.items():
            shape = (size, *tensor.shape[1:])
            if tensor.is_input and not self._context.set_input_shape(name, shape):
                raise HandmeshError(
                    f"The engine does not take {size} at once: build it again with "
                    f"`handmesh engine build --force`."
                )
        self._batch = size

    def _enqueue(self) -> None:
        inputs, outputs, stream = self._inputs, self._outputs, self._stream
        self._cuda.upload(inputs.device, inputs.host, inputs.size, stream)
        if not self._context.execute_async_v3(stream):
            raise HandmeshError(
                "The engine cannot be started on this GPU: build it again with "
                "`handmesh engine build --force`, or choose the backend onnxruntime."
            )
        self._cuda.download(outputs.host, outputs.device, outputs.size, stream)

    def _record(self, resources: ExitStack) -> int | None:
        """Run once, which loads what is loaded late, then record the graph."""
        for array in self._inputs.arrays.values():
            array.fill(1)
        if self._is_open:
            self._set_batch(1)
        self._enqueue()
        self._cuda.synchronize(self._stream)
        if self._is_open:
            return None  # A recorded run has one size.
        try:
            graph = self._cuda.capture(self._stream, self._enqueue)
        except HandmeshError as error:
            logger.warning("The engine runs without a CUDA graph, a little slower: %s", error)
            return None
        resources.callback(self._cuda.destroy_graph, graph)
        return graph


def _activation_memory(engine: Any) -> int:
    """TensorRT 11 and TensorRT-RTX have only the second name, TensorRT 8 only the first."""
    if hasattr(engine, "device_memory_size_v2"):
        return int(engine.device_memory_size_v2)
    return int(engine.device_memory_size)

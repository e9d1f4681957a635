"""TensorRT of a chosen version: offers only what the official bindings of that version offer.

What they offer stands in tensorrt_api.json (`scripts/read_tensorrt_api.py`): a name that a version
lacks raises AttributeError here too, and methods take no more arguments than theirs. Behind the
names, engines run with ONNX Runtime in the memory of `fake_cuda`.
"""

from __future__ import annotations

import ctypes
import json
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime

API = json.loads((Path(__file__).parent / "tensorrt_api.json").read_text())
VERSIONS = [(library, version) for library, found in API.items() for version in found]
TYPES = {
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.FLOAT: "FLOAT",
    onnx.TensorProto.FLOAT16: "HALF",
}


class Offered:
    """An object of a class of the bindings; `real` does the work."""

    def __init__(self, members: dict[str, list[str] | None], kind: str, real: Any) -> None:
        object.__setattr__(self, "_parts", (members, kind, real))

    def __getattr__(self, name: str) -> Any:
        members, kind, real = self._parts
        if name not in members:
            raise AttributeError(f"{kind} has no {name} in this version")
        value = getattr(real, name)
        arguments = members[name]
        if not callable(value) or arguments is None:
            return value

        def call(*given: Any, **named: Any) -> Any:
            assert len(given) + len(named) <= len(arguments), f"{kind}.{name} takes {arguments}"
            assert set(named) <= set(arguments), f"{kind}.{name} takes {arguments}"
            return value(*given, **named)

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        members, kind, real = self._parts
        if name not in members:
            raise AttributeError(f"{kind} has no {name} in this version")
        setattr(real, name, value)


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the shape of a graph's input or output; -1 where it is open."""
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)


def fake_library(cudart: Any, library: str, version: str) -> SimpleNamespace:
    """Return a module of the shape of `tensorrt` or `tensorrt_rtx`.

    Its `state` counts builds and holds what the test may change: `build_error` (a message),
    `loads` (how often deserialising fails) and `context_fails`.
    """
    api = API[library][version]
    state = SimpleNamespace(
        builds=0,
        build_error=None,
        loads_to_fail=0,
        context_fails=False,
        network=None,
        config=None,
        profile=None,
    )

    def enum(kind: str) -> Any:
        names = [name for name in api[kind] if name.isupper()]
        return IntEnum(kind, {name: index for index, name in enumerate(sorted(names))})

    enums = {
        kind: enum(kind)
        for kind in (
            "BuilderFlag DataType LayerType MemoryPoolType NetworkDefinitionCreationFlag "
            "TensorIOMode"
        ).split()
    }

    def offered(kind: str, real: Any) -> Offered:
        return Offered(api[kind], kind, real)

    class Builder:
        def __init__(self, logger: Any) -> None:
            self.messages = logger

        def create_network(self, flags: int = 0) -> Offered:
            state.network = SimpleNamespace(flags=flags, graph=None, layers=[], num_layers=0)
            state.network.num_inputs = 0
            state.network.get_input = lambda index: offered("ITensor", state.network.inputs[index])
            state.network.get_layer = lambda index: offered("ILayer", state.network.layers[index])
            return offered("INetworkDefinition", state.network)

        def create_optimization_profile(self) -> SimpleNamespace:
            state.profile = {}
            return SimpleNamespace(
                set_shape=lambda input, min, opt, max: state.profile.update(
                    {input: (min, opt, max)}
                )
            )

        def create_builder_config(self) -> Offered:
            state.config = SimpleNamespace(flags=set())
            state.config.set_flag = state.config.flags.add
            state.config.profiles = []
            state.config.add_optimization_profile = state.config.profiles.append
            state.config.set_memory_pool_limit = lambda pool, pool_size: None
            return offered("IBuilderConfig", state.config)

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            state.builds += 1
            if state.build_error is not None:
                self.messages.log(1, state.build_error)
                return None
            return f"PLAN {library} {version} ".encode() + state.network.graph

    class Parser:
        def __init__(self, network: Any, logger: Any) -> None:
            self.num_errors = 0

        def parse(self, model: bytes, path: str | None = None) -> bool:
            try:
                graph = onnx.load_from_string(model).graph
            except Exception:
                self.num_errors = 1
                return False
            state.network.graph = model
            state.network.inputs = [
                SimpleNamespace(name=value.name, shape=shape_of(value)) for value in graph.input
            ]
            state.network.num_inputs = len(graph.input)
            for node in graph.node:
                half = any(i.data_type == onnx.TensorProto.FLOAT16 for i in graph.initializer)
                dtype = enums["DataType"]["HALF" if half else "FLOAT"]
                is_quantize = node.op_type == "QuantizeLinear"
                kind = enums["LayerType"]["QUANTIZE" if is_quantize else "IDENTITY"]
                layer = SimpleNamespace(num_outputs=1, type=kind, precision=None, name=node.name)
                layer.get_output = lambda index, dtype=dtype: offered(
                    "ITensor", SimpleNamespace(dtype=dtype)
                )
                layer.set_output_type = lambda index, dtype: None
                state.network.layers.append(layer)
            state.network.num_layers = len(state.network.layers)
            return True

        def get_error(self, index: int) -> Offered:
            return offered("ParserError", SimpleNamespace(desc=lambda: "invalid protobuf"))

    class Runtime:
        def __init__(self, logger: Any) -> None:
            assert "cudaGetDeviceCount" in cudart.calls, "TensorRT ends the process without CUDA"

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Offered | None:
            head = f"PLAN {library} {version} ".encode()
            if state.loads_to_fail or not serialized_engine.startswith(head):
                state.loads_to_fail -= 1
                return None
            return offered("ICudaEngine", Engine(serialized_engine.removeprefix(head)))

    class Engine:
        device_memory_size = device_memory_size_v2 = 12345

        def __init__(self, graph: bytes) -> None:
            content = onnx.load_from_string(graph).graph
            self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            self.inputs = [value.name for value in content.input]
            self.values = {value.name: value for value in (*content.input, *content.output)}
            self.num_io_tensors = len(self.values)

        def get_tensor_name(self, index: int) -> str:
            return list(self.values)[index]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return shape_of(self.values[name])

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list:
            assert profile_index == 0 and self.get_tensor_shape(name)[0] == -1
            return list(state.profile[name])

        def get_tensor_dtype(self, name: str) -> Any:
            return enums["DataType"][TYPES[self.values[name].type.tensor_type.elem_type]]

        def get_tensor_mode(self, name: str) -> Any:
            return enums["TensorIOMode"]["INPUT" if name in self.inputs else "OUTPUT"]

        def create_execution_context(self) -> Offered | None:
            return None if state.context_fails else offered("IExecutionContext", Context(self))

    class Context:
        def __init__(self, engine: Engine) -> None:
            self.engine, self.addresses, self.batch = engine, {}, None

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            low, _, high = state.profile[name]
            self.batch = shape[0]
            return low[0] <= shape[0] <= high[0] and tuple(shape[1:]) == tuple(low[1:])

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self.addresses[name] = memory
            return name in self.engine.values and memory % 256 == 0

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert set(self.addresses) == set(self.engine.values)
            return cudart.enqueue(stream_handle, self.run)

        def run(self) -> None:
            feeds = {name: self.view(name) for name in self.engine.inputs}
            names = [name for name in self.engine.values if name not in feeds]
            for name, values in zip(names, self.engine.session.run(names, feeds), strict=True):
                self.view(name)[...] = values

        def view(self, name: str) -> np.ndarray:
            shape = self.engine.get_tensor_shape(name)
            if shape[0] == -1:
                assert self.batch is not None
                shape = (self.batch, *shape[1:])
            integers = self.engine.get_tensor_dtype(name) == enums["DataType"]["UINT8"]
            dtype = np.dtype(np.uint8 if integers else np.float32)
            size = int(np.prod(shape)) * dtype.itemsize
            memory = (ctypes.c_uint8 * size).from_address(self.addresses[name])
            return np.frombuffer(memory, dtype).reshape(shape)

    class Module(SimpleNamespace):
        __hash__ = object.__hash__

    return Module(
        __name__=library,
        __version__=version,
        ILogger=type("ILogger", (), {}),
        Builder=lambda logger: offered("Builder", Builder(logger)),
        OnnxParser=lambda network, logger: offered("OnnxParser", Parser(network, logger)),
        Runtime=lambda logger: offered("Runtime", Runtime(logger)),
        state=state,
        **enums,
    )

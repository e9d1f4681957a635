"""Write down what the official Python bindings of TensorRT offer, for the tests.

    pip download --no-deps tensorrt-bindings==8.6.1 tensorrt-cu12-bindings==10.3.0 …
    python scripts/read_tensorrt_api.py *.whl > test/inference/backends/tensorrt/tensorrt_api.json

The bindings import without TensorRT when empty libraries stand in for it: `cc` makes those. The
names and signatures are read from the imported classes, nothing is run. `tensorrt_rtx`, where it
is installed, is read too. Wheels must be for the running Python.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CLASSES = (
    "Builder BuilderFlag DataType IBuilderConfig ICudaEngine IExecutionContext ILayer ILogger "
    "INetworkDefinition ITensor LayerType MemoryPoolType NetworkDefinitionCreationFlag OnnxParser "
    "ParserError Runtime TensorIOMode"
).split()
FUNCTIONS = (
    "createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL "
    "createNvOnnxParser_INTERNAL createNvOnnxParserRefitter_INTERNAL getBuilderPluginRegistry "
    "getNvOnnxParserVersion getPluginRegistry initLibNvInferPlugins "
    "_ZN11nvuffparser15createUffParserEv _ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi "
    "_ZN14nvcaffeparser117createCaffeParserEv _ZN14nvcaffeparser123shutdownProtobufLibraryEv"
).split()
Classes = dict[str, dict[str, "list[str] | None"]]
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")


def read_classes(module: str) -> Classes:
    """Return class → member → names of its arguments; None where not known."""
    trt = __import__(module, fromlist=["*"])
    found: Classes = {}
    for name in CLASSES:
        members: dict[str, list[str] | None] = {}
        for member in dir(getattr(trt, name, None)):
            if member == "__init__" or not member.startswith("_"):
                text = getattr(getattr(trt, name), member).__doc__ or ""
                members[member] = _arguments(member, text.lstrip().partition("\n")[0])
        if hasattr(trt, name):
            found[name] = members
    return found


def _arguments(member: str, signature: str) -> list[str] | None:
    if not signature.startswith(f"{member}(self"):
        return None
    return re.findall(r", (\w+):", signature.split(" -> ")[0])


def read_wheel(wheel: Path) -> tuple[str, Classes]:
    """Return the version of a bindings wheel and its classes."""
    version = wheel.name.split("-")[1]
    major = version.partition(".")[0]
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        source = Path(folder) / "empty.c"
        source.write_text("".join(f"void {name}(void) {{}}\n" for name in FUNCTIONS))
        for library in LIBRARIES:
            output = Path(folder) / f"lib{library}.so.{major}"
            options = ["-shared", "-fPIC", f"-Wl,-soname,{output.name}", "-o", str(output)]
            subprocess.run(["cc", str(source), *options], check=True)
        # The library path is read when a process starts, so the import needs a new one.
        code = (
            "import json, sys; sys.path[:0] = sys.argv[1:3]; import read_tensorrt_api as r; "
            "print(json.dumps(r.read_classes('tensorrt_bindings.tensorrt')))"
        )
        paths = [folder, str(Path(__file__).resolve().parent)]
        result = subprocess.run(
            [sys.executable, "-c", code, *paths],
            env={**os.environ, "LD_LIBRARY_PATH": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    return version, json.loads(result.stdout)


def main() -> None:
    """Print the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheels", nargs="+", type=Path)
    content: dict[str, dict[str, Classes]] = {"tensorrt": {}}
    for wheel in parser.parse_args().wheels:
        version, classes = read_wheel(wheel)
        content["tensorrt"][version] = classes
    try:
        import tensorrt_rtx
    except ImportError:
        pass
    else:
        classes = read_classes("tensorrt_rtx")
        content["tensorrt_rtx"] = {tensorrt_rtx.__version__: classes}
    text = json.dumps(content, indent=1, sort_keys=True)
    print(re.sub(r"\s*\n {4,}\s*", " ", text))  # one line for each class


if __name__ == "__main__":
    main()

"""`handmesh doctor`: what is installed, what is missing, and what each missing part enables."""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from handmesh_ros import __version__
from handmesh_ros.common.child_processes import run_code
from handmesh_ros.common.imports import GET_MESSAGES, remedy
from handmesh_ros.errors import HandmeshError
from handmesh_ros.inference.models import CAMERA_MODEL

_EGL_PROBE = (
    "import moderngl; c = moderngl.create_standalone_context(backend='egl'); "
    "print(c.info['GL_RENDERER'])"
)
_PATIENCE_S = 60.0
_RENDERING = "renders synthetic training images"
_EGL_PACKAGES = "apt install libegl1 libegl-mesa0 libgl1-mesa-dri"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        part: what was looked for.
        found: whether it is there and works.
        detail: its version, or what is wrong, what the part gives and how to get it.
        essential: whether `handmesh detect` needs it.
    """

    part: str
    found: bool
    detail: str
    essential: bool = False

    def __str__(self) -> str:
        state = "found" if self.found else "BROKEN" if self.essential else "missing"
        return f"  {state:<8} {self.part:<22} {self.detail}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `handmesh doctor`: none."""


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 if `handmesh detect` cannot work, else 0."""
    print(f"handmesh_ros {__version__}, Python {platform.python_version()}, {platform.platform()}")
    works = True
    for title, findings in (
        ("Detection", _detection()),
        ("ROS 2", _ros()),
        ("GPU", _gpu()),
        ("Optional parts", _optional()),
    ):
        print(title)
        for finding in findings:
            works &= finding.found or not finding.essential
            print(finding, flush=True)
    print("Detection works." if works else "Detection does not work: see the lines above.")
    return 0 if works else 1


def package(part: str, module: str, gives: str, get: str, *, essential: bool = False) -> Finding:
    """Look for a Python package, and import it in a process of its own: it may end that.

    Args:
        part: name to print.
        module: what is imported.
        gives: what the package is for.
        get: command that installs it.
        essential: whether `handmesh detect` needs it.
    """
    if importlib.util.find_spec(module) is None:
        return Finding(part, False, f"{gives}: {get}", essential)
    problem = _import_apart(module)
    if problem is not None:
        last = (problem.strip().splitlines() or ["it ends the program"])[-1]
        mend = remedy(problem, get)
        return Finding(part, False, f"{gives}, but it does not load ({last}): {mend}", essential)
    distributions = importlib.metadata.packages_distributions().get(module, ())
    versions = [f"{name} {importlib.metadata.version(name)}" for name in distributions]
    return Finding(part, True, ", ".join(versions) or "version not known", essential)


def _import_apart(module: str) -> str | None:
    """Import a module in another process; return its error output if it failed, else None."""
    try:
        probe = subprocess.run(
            run_code(f"import {module}"), capture_output=True, text=True, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_PATIENCE_S:g} s"
    return probe.stderr if probe.returncode else None


def _detection() -> Iterator[Finding]:
    supported = sys.version_info >= (3, 10)
    advice = "" if supported else ": install Python 3.10 or newer"
    yield Finding("Python", supported, platform.python_version() + advice, True)
    reinstall = "pip install . in a checkout of handmesh_ros"
    parts = [
        package("NumPy", "numpy", "arrays", reinstall, essential=True),
        package("OpenCV", "cv2", "image files and scaling", reinstall, essential=True),
        package("ONNX Runtime", "onnxruntime", "runs the network", reinstall, essential=True),
    ]
    yield from parts
    if all(part.found for part in parts):
        yield from _models()


def _models() -> Iterator[Finding]:
    from handmesh_ros.inference.models import BUNDLED_MODELS

    for name in BUNDLED_MODELS:
        yield _model(name)


def _model(name: str) -> Finding:
    part = f"model {name}"
    try:
        from handmesh_ros.inference.backends.base import trial_inputs
        from handmesh_ros.inference.backends.selection import open_backend
        from handmesh_ros.inference.models import find_model

        backend = open_backend(find_model(name))
        inputs = trial_inputs(backend.sidecar)
        for _ in range(2):  # The first run is slower.
            start = time.perf_counter()
            backend.infer(*inputs)
    except (HandmeshError, ImportError) as error:
        return Finding(part, False, str(error), True)
    milliseconds = 1e3 * (time.perf_counter() - start)
    what = {1: "an image", 2: "two crops"}[len(inputs[0])]
    detail = f"{backend.sidecar.model_id} on {backend.name}, {milliseconds:.0f} ms for {what}"
    backend.close()
    return Finding(part, True, detail, True)


def _ros() -> Iterator[Finding]:
    distribution = os.environ.get("ROS_DISTRO", "")
    problem = _import_problem("rclpy")
    if problem is None:
        version = package("rclpy", "rclpy", "", "").detail
        yield Finding("rclpy", True, f"{distribution} ({version})" if distribution else version)
    else:
        advice = "source /opt/ros/DISTRO/setup.bash, or use `make demo`, which installs it"
        if distribution:
            advice = f"ROS_DISTRO is {distribution}, so start the Python that it was built for"
        yield Finding("rclpy", False, f"runs the node ({problem}): {advice}")
    # `handmesh_ros.msg` alone may be the folder of .msg files of a checkout.
    problem = _import_problem("handmesh_ros.msg._hand_mesh")
    if problem is None:
        yield Finding("handmesh_ros messages", True, "built")
    else:
        advice = f"what the node publishes: {GET_MESSAGES}"
        yield Finding("handmesh_ros messages", False, advice)
    apt = f"apt install ros-{distribution or 'DISTRO'}-"
    yield package("rosbags", "rosbags", "`handmesh replay`", "pip install rosbags")
    yield package("mcap", "mcap", "`handmesh replay`", "pip install mcap")
    for part, gives, name in (
        ("launch_ros", "the launch files", "launch-ros"),
        ("cv_bridge", "image encodings beyond the usual ones", "cv-bridge"),
    ):
        yield package(part, part, gives, apt + name)


def _gpu() -> Iterator[Finding]:
    gives = "not needed; speeds up detection and training: install NVIDIA's driver"
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        yield Finding("NVIDIA driver", False, gives)
        return
    count, version = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count.value:
        yield Finding("NVIDIA GPU", False, "the driver is there, but it finds no usable GPU")
        return
    cuda.cuDriverGetVersion(ctypes.byref(version))
    for index in range(count.value):
        name = ctypes.create_string_buffer(128)
        cuda.cuDeviceGetName(name, len(name), index)
        supported = f"driver for CUDA {version.value // 1000}.{version.value % 1000 // 10}"
        yield Finding(f"NVIDIA GPU {index}", True, f"{name.value.decode()}, {supported}")
    if importlib.util.find_spec("onnxruntime") is not None:
        found = _runs_on_cuda()
        advice = "detection on the GPU: pip install onnxruntime-gpu in place of onnxruntime"
        yield Finding("ONNX Runtime on CUDA", found, "available" if found else advice)
    for part, module in (("TensorRT", "tensorrt"), ("TensorRT-RTX", "tensorrt_rtx")):
        yield package(part, module, "detection on the GPU", "see docs/tensorrt.md")


def _runs_on_cuda() -> bool:
    """Return whether a session of ONNX Runtime runs on the GPU: its list does not tell."""
    try:
        from handmesh_ros.inference.backends.onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(CAMERA_MODEL).on_gpu
    except (HandmeshError, ImportError):
        return False


def _optional() -> Iterator[Finding]:
    yield package("OpenVINO", "openvino", "faster on some CPUs", "pip install '.[openvino]'")
    train = "pip install '.[train]'"
    yield package("torch", "torch", "training, and the torch backend", train)
    yield package("Lightning", "lightning", "training", train)
    yield _renderer(train)
    yield package("smplx", "smplx", "your own MANO files", "pip install '.[mano]'")
    label = "pip install '.[label]' in an environment of its own"
    yield package("MediaPipe", "mediapipe", "labels photographs, and a baseline", label)


def _renderer(get: str) -> Finding:
    if importlib.util.find_spec("moderngl") is None:
        return Finding("moderngl with EGL", False, f"{_RENDERING}: {get} and {_EGL_PACKAGES}")
    try:
        # In a process of its own: a broken OpenGL driver may end the process.
        probe = subprocess.run(run_code(_EGL_PROBE), capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return Finding("moderngl with EGL", False, f"{_RENDERING}: EGL does not answer")
    if probe.returncode:
        return Finding(
            "moderngl with EGL", False, f"{_RENDERING}, but EGL does not work: {_EGL_PACKAGES}"
        )
    version = importlib.metadata.version("moderngl")
    return Finding("moderngl with EGL", True, f"{version}, {probe.stdout.strip()}")


def _import_problem(module: str) -> str | None:
    """Import a module and return the first line of what went wrong, or None."""
    try:
        importlib.import_module(module)
    except Exception as error:  # A broken ROS installation raises more than ImportError.
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None

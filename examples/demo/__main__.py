"""Runs camera, detector and listener; prints a status line and a summary, writes `out/demo/`."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

try:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    import handmesh_ros
    from examples.demo.camera import PHOTO_FRAMES, RATE_HZ
    from examples.demo.listener import MAX_RECORDED_IMAGES, Listener
    from examples.demo.report import write_bag, write_drawings, write_report
    from handmesh_ros.common.arguments import number
    from handmesh_ros.errors import HandmeshError
    from handmesh_ros.inference.models import DETAIL_MODEL
    from handmesh_ros.media.sources import Source, find_sources, read_frames
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"demo: a part of what it runs in is missing ({error}): start it by `make demo`.")
except KeyboardInterrupt:
    print("demo: interrupted", file=sys.stderr)
    sys.exit(130)

BUNDLED_CLIP = Path(handmesh_ros.__file__).parent / "assets" / "demo.mp4"
NAMESPACE = "/demo"
START_TIMEOUT_S = 60.0
CLIP_SECONDS, PHOTO_SECONDS = 12.0, 5.0


def run(source: str, files: list[Source], seconds: float | None, model: str, folder: Path) -> int:
    """Run the demonstration; return the exit status.

    Args:
        source: a photo, a folder, a video or /dev/videoN.
        files: of the source; none of a camera.
        seconds: how long; None plays the source once.
        model: path or name of a model; empty for the bundled one, and for photos the one for
            small hands beside it.
        folder: for the results.

    Raises:
        HandmeshError: a part did not start.
    """
    _check_folder(folder)
    photos = sum(not file.is_video for file in files)
    parameters = ["-p", f"model:={model}"] if model else []
    if not model and photos == len(files) > 0:  # Nothing moves: there is time to look twice.
        parameters = ["-p", f"detail_model:={DETAIL_MODEL.stem}"]
    if photos and len(files) > 1:
        parameters += ["-p", "track:=false"]  # A hand is not followed from photo to photo.
    if len(files) > 1:
        print(_describe(photos, len(files) - photos), flush=True)
    detector = _start("handmesh_ros.ros", parameters)
    camera = None
    listener = Listener()
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    try:
        _wait_for_detector(detector, listener, executor)
        limit = [] if seconds is None else ["--seconds", str(seconds)]
        camera = _start("examples.demo.camera", [], ["--source", source, *limit])
        _watch(camera, detector, listener, executor)
    except KeyboardInterrupt:
        print()
    finally:
        for process in (camera, detector):
            _stop(process)
    return _report(listener, folder, as_video=not files or photos < len(files))


def _describe(photos: int, videos: int) -> str:
    """Return a line on what is played of a folder."""
    parts = []
    if photos:
        s = "s" * (photos > 1)
        parts.append(f"{photos} photo{s} for {PHOTO_FRAMES / RATE_HZ:g} s each")
    if videos:
        parts.append(f"{videos} video{'s' * (videos > 1)}")
    note = "; hands are not followed from image to image" if photos else ""
    return f"playing            {' and '.join(parts)}{note}"


def _start(
    module: str, parameters: list[str], options: list[str] | None = None
) -> subprocess.Popen:
    """Start a node as its own process; Ctrl-C reaches it through us only."""
    remap = ["--ros-args", "-r", f"__ns:={NAMESPACE}", *parameters]
    command = [sys.executable, "-m", module, *(options or []), *remap]
    return subprocess.Popen(command, start_new_session=True)


def _stop(process: subprocess.Popen | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()


def _wait_for_detector(
    detector: subprocess.Popen, listener: Listener, executor: SingleThreadedExecutor
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while listener.topology is None:
        executor.spin_once(timeout_sec=0.2)
        if detector.poll() is not None:
            raise HandmeshError("The detector did not start; its reason stands above.")
        if time.monotonic() > deadline:
            raise HandmeshError(f"The detector was not active after {START_TIMEOUT_S:.0f} s.")


def _watch(
    camera: subprocess.Popen,
    detector: subprocess.Popen,
    listener: Listener,
    executor: SingleThreadedExecutor,
) -> None:
    """Listen until the camera ends and its last image had time to be answered."""
    is_terminal = sys.stdout.isatty()
    period_s, next_status_s, end_s = 0.2 if is_terminal else 2.0, 0.0, float("inf")
    while time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.1)
        if time.monotonic() > next_status_s and listener.recording.image_count:
            next_status_s = time.monotonic() + period_s
            line = listener.recording.status()
            print(f"\r{line[:118]:118}" if is_terminal else line, end="" if is_terminal else "\n")
            sys.stdout.flush()
        if camera.poll() is not None and end_s == float("inf"):
            end_s = time.monotonic() + 1.0
        if detector.poll() is not None:
            raise HandmeshError("The detector ended early; its reason stands above.")
    print()


def _report(listener: Listener, folder: Path, *, as_video: bool) -> int:
    recording = listener.recording
    if not recording.image_count:
        print("demo: no images came; the camera's reason stands above.", file=sys.stderr)
        return 1
    print("\n".join(recording.summary()))
    if not recording.hand_count:
        print("demo: no hands came through.", file=sys.stderr)
        return 1
    assert listener.topology is not None
    _clear(folder)
    drawings = write_drawings(recording, listener.topology, folder, as_video=as_video)
    page = write_report(recording, listener.topology, folder, as_video=as_video)
    bag = write_bag(recording, folder, NAMESPACE)
    more = f" and {len(drawings) - 1} more" if len(drawings) > 1 else ""
    print(f"drawn              {drawings[0]}{more}")
    print(f"report             {page}: hands in 3D and figures; open it in a browser")
    print(f"recorded           {bag}: `handmesh replay {bag}`, `ros2 bag play`, or Foxglove")
    if len(recording.images) >= MAX_RECORDED_IMAGES:
        print(f"                   only the first {MAX_RECORDED_IMAGES} images are in these")
    return 0


def _results(folder: Path) -> list[Path]:
    """Return what an earlier run left in the folder."""
    patterns = ("overlay*.png", "overlay.mp4", "report.html", "bag")
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _check_folder(folder: Path) -> None:
    """Refuse a folder for the results that holds anything else.

    Raises:
        HandmeshError: it does, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replayed = folder / "bag_hands"  # of `handmesh replay`, as the README says
        others = set(folder.iterdir()) - {*_results(folder), replayed}
    except OSError as error:
        raise HandmeshError(f"Cannot write into {folder} ({error.strerror}).") from error
    if others:
        raise HandmeshError(
            f"The folder {folder} holds other files ({min(others).name}): give --out an empty one."
        )


def _clear(folder: Path) -> None:
    for path in _results(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _find_files(source: str) -> list[Source]:
    """Return the files of a source; refuse a single one that cannot be shown.

    Raises:
        HandmeshError: there is nothing to show.
    """
    if source.startswith("/dev/video"):
        return []
    files = find_sources(Path(source))
    if len(files) == 1:
        next(read_frames(files[0]))
    return files


def _default_seconds(source: str, files: list[Source]) -> float | None:
    """Return for how long to play a source: films and folders once, a photo for a while."""
    if source == str(BUNDLED_CLIP):
        return CLIP_SECONDS
    return PHOTO_SECONDS if len(files) == 1 and not files[0].is_video else None


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--source", default="", help="photo, folder, video or /dev/videoN")
    parser.add_argument("--seconds", type=number(0.1), help="how long to play it, over and over")
    parser.add_argument("--model", default="", help="NAME.onnx, mobile or mobile_512")
    parser.add_argument("--out", type=Path, default=Path("out") / "demo")
    options = parser.parse_args()
    source = options.source or str(BUNDLED_CLIP)
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupt, signal.default_int_handler)
    try:
        files = _find_files(source)
        seconds = _default_seconds(source, files) if options.seconds is None else options.seconds
        rclpy.init(
            args=["--ros-args", "-r", f"__ns:={NAMESPACE}"],
            signal_handler_options=SignalHandlerOptions.NO,
        )
        return run(source, files, seconds, options.model, options.out)
    except HandmeshError as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())

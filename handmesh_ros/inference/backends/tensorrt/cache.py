"""Built engines on disk: found by what they depend on, written whole or not at all, built once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handmesh_ros.common.files import parse_json
from handmesh_ros.common.home import cache_directory, expand, fallback_directory
from handmesh_ros.errors import HandmeshError

logger = logging.getLogger(__name__)

FORMAT = "handmesh-engine"


@dataclass(frozen=True)
class EngineKey:
    """Everything that decides whether an engine can be used; plans themselves differ every time.

    Attributes:
        model_id: for people, and for the file's name.
        onnx_sha256: of the graph.
        library: "tensorrt" or "tensorrt_rtx".
        version: of the library, in full.
        gpu: name, compute capability and multiprocessors; "any" for TensorRT-RTX, whose engines
            are finished on the GPU that runs them.
        driver: CUDA version and release of the driver; "any" for TensorRT-RTX.
        options: of the build.
    """

    model_id: str
    onnx_sha256: str
    library: str
    version: str
    gpu: str
    driver: str
    options: str = ""

    @property
    def file_name(self) -> str:
        """Name of the engine's file: the model for people, a digest of everything for us."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        model = re.sub(r"[^\w.-]+", "_", self.model_id)[:60] or "model"
        return f"{model}-{self.library}-{digest[:16]}.engine"


def default_directory() -> Path:
    """Return $HANDMESH_CACHE, or handmesh/engines in the user's cache directory.

    Raises:
        HandmeshError: $HANDMESH_CACHE begins with a home that is not known.
    """
    chosen = os.environ.get("HANDMESH_CACHE")
    return expand(chosen) if chosen else cache_directory("engines")


class EngineCache:
    """Engines in one directory, each with a .json beside it that says what it is.

    An engine is code that runs with our rights, so a directory that everybody may write to is
    not read.

    Args:
        directory: made when the first engine is written; None takes `default_directory`.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        self.directory = default_directory() if directory is None else Path(directory)

    def path(self, key: EngineKey) -> Path:
        """Return where the engine of `key` lies or would lie."""
        return self.directory / key.file_name

    def read(self, key: EngineKey) -> bytes | None:
        """Return the engine of `key`, or None where there is no intact one.

        Raises:
            HandmeshError: it was refused by `refuse`, or others may write to the directory.
        """
        path = self.path(key)
        try:
            self._check_trusted()
            plan = path.read_bytes()
            description = parse_json(path.with_suffix(".json").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("The engine %s cannot be read (%s): it is built again", path, error)
            return None
        reason = _mismatch(description, key, plan)
        if reason is not None:
            logger.warning("The engine %s %s: it is built again", path, reason)
            return None
        if description.get("refused"):
            raise HandmeshError(
                f"The engine {path} was refused by `handmesh engine verify` "
                f"({description['refused']}): build it again with `handmesh engine build --force` "
                f"or choose the backend onnxruntime."
            )
        return plan

    def get(self, key: EngineKey, build: Callable[[], bytes], *, force: bool = False) -> bytes:
        """Return the engine of `key`; where there is none, build and keep it.

        Of several processes that want the same engine at once, one builds and the others wait.

        Args:
            key: what the engine depends on.
            build: returns the serialized engine.
            force: build even if there is one.

        Raises:
            HandmeshError: the directory cannot be written to, or the build failed.
        """
        plan = None if force else self.read(key)
        if plan is not None:
            return plan
        with self._lock(key):
            plan = None if force else self.read(key)
            if plan is None:
                plan = build()
                self._write(key, plan)
            return plan

    def refuse(self, key: EngineKey, reason: str) -> None:
        """Mark the engine of `key`, so that `read` raises until it is built again.

        Raises:
            HandmeshError: the directory cannot be written to.
        """
        with self._lock(key):
            plan = self.path(key).read_bytes()
            self._write_description(key, plan, refused=reason)

    @contextmanager
    def _lock(self, key: EngineKey) -> Iterator[None]:
        path = self.path(key).with_suffix(".lock")
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._check_trusted()
            # Opened for writing: finds out before a build of minutes that nothing can be kept.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not os.access(self.directory, os.W_OK):
                os.close(descriptor)
                raise PermissionError(13, os.strerror(13))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("Another process builds %s: waiting for it", self.path(key).name)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, key: EngineKey, plan: bytes) -> None:
        try:
            write_atomically(self.path(key), plan)
        except OSError as error:
            raise self._unwritable(error) from error
        self._write_description(key, plan)

    def _write_description(self, key: EngineKey, plan: bytes, **more: Any) -> None:
        description = {
            "format": FORMAT,
            **asdict(key),
            "sha256": hashlib.sha256(plan).hexdigest(),
            **more,
        }
        text = json.dumps(description, indent=2) + "\n"
        try:
            write_atomically(self.path(key).with_suffix(".json"), text.encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_trusted(self) -> None:
        status = self.directory.stat()
        if self.directory == fallback_directory("engines") and status.st_uid != os.getuid():
            raise HandmeshError(
                f"The engine cache {self.directory} belongs to another user, and an engine is "
                f"code that runs: choose another directory with HANDMESH_CACHE."
            )
        if stat.S_IMODE(status.st_mode) & stat.S_IWOTH:
            raise HandmeshError(
                f"Everybody may write to the engine cache {self.directory}, and an engine is "
                f"code that runs: take that right away (chmod o-w), or choose another directory "
                f"with HANDMESH_CACHE."
            )

    def _unwritable(self, error: OSError) -> HandmeshError:
        return HandmeshError(
            f"Cannot write to the engine cache {self.directory} ({error.strerror}): choose a "
            f"directory that you can write to with HANDMESH_CACHE or --cache."
        )


def _mismatch(description: Any, key: EngineKey, plan: bytes) -> str | None:
    """Return why an engine is not the one of `key`, or None."""
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        return "has no valid description"
    for field, wanted in asdict(key).items():
        if description.get(field) != wanted:
            return f"was built for another {field} ({description.get(field)!r}, not {wanted!r})"
    if description.get("sha256") != hashlib.sha256(plan).hexdigest():
        return "is damaged"
    return None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that others see the old or the new one, never a part."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

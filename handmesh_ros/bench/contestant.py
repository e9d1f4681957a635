"""One contestant of a benchmark: a process of its own that times what it is asked to run."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handmesh_ros.errors import HandmeshError

MEDIAPIPE_WORKER = Path(__file__).with_name("mediapipe_worker.py")
"""A contestant of its own, for an interpreter that has mediapipe and not this package."""


class Contestant:
    """A process that answers each line of JSON on its input with one line on its output.

    Its first line, unasked, says what it is once it has its first result. Processes of their own
    keep thread pools and memory apart, and let an interpreter take part that has other packages.

    Args:
        title: what it is called where it does not start.
        command: the process.
        environment: of the process; None passes on ours.

    Attributes:
        introduction: its first answer: `model_id` and `backend`.
        start_s: from the start of the process to its first result, seconds.

    Raises:
        HandmeshError: it does not start; the message has its last words.
    """

    def __init__(
        self, title: str, command: Sequence[str], environment: dict[str, str] | None = None
    ) -> None:
        self.title = title
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        start = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                encoding="utf-8",
            )
        except OSError as error:
            raise HandmeshError(
                f"{title} cannot be started ({command[0]}: {error.strerror}): check the path of "
                f"the interpreter."
            ) from error
        self.introduction = self._answer()
        self.start_s = time.perf_counter() - start

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            HandmeshError: the process has ended, or answers with an error.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # The answer says why.
        return self._answer()

    def memory_mb(self) -> float | None:
        """Return the resident memory of the process, MB; None where the system does not say."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        except OSError:
            return None
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / 1e6

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            words = [text.strip() for text in self._errors.read().splitlines() if text.strip()]
            last = words[-1] if words else f"exit status {self._process.returncode}"
            self.close()
            raise HandmeshError(f"{self.title} has ended: {last.removeprefix('handmesh: ')}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self.close()
            raise HandmeshError(f"{self.title} does not run: {answer['error']}")
        return answer

"""Throws generated messages and files at what the node does, and checks what must always hold.

    make fuzz                           # ten minutes, every target
    make fuzz SECONDS=60 FUZZ="--target bags --seed 7"

The targets stand in test/fuzz (fuzz_messages.py, fuzz_files.py, fuzz_media.py). The same seed
gives the same inputs. Ends with status 1 at the first one that breaks a promise, made as small as
possible.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # it says of each damaged picture what we say
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "fuzz")]

BATCH = 200
"""Examples between two looks at the clock."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets in turn until the time is over; return the exit status."""
    import fuzz_files
    import fuzz_media
    import fuzz_messages

    targets = {**fuzz_messages.TARGETS, **fuzz_files.TARGETS, **fuzz_media.TARGETS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--target", action="append", choices=list(targets), help="(all)")
    options = parser.parse_args(arguments)
    chosen = {name: targets[name] for name in options.target or targets}
    end, counts, batch = time.monotonic() + options.seconds, dict.fromkeys(chosen, 0), 0
    rules = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    while time.monotonic() < end:
        for name, (check, strategies) in chosen.items():
            run = seeded(options.seed + batch)(rules(given(**strategies)(check)))
            try:
                run()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    break
                traceback.print_exc()
                print(f"fuzz: {name} fails with --seed {options.seed + batch}.", file=sys.stderr)
                return 1
            counts[name] += BATCH
            if time.monotonic() >= end:
                break
        batch += 1
    for name, count in counts.items():
        print(f"{name:16} {count:9,} examples")
    print(f"{'all':16} {sum(counts.values()):9,} examples, no promise broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())

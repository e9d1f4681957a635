#!/bin/sh
# fsspec 2026.9.0 (pypi.org/project/fsspec): a killed transaction on local files leaves neither the old
# nor the new file where the temporary folder is another disk. Lightning's _atomic_save (2.6.6) writes
# checkpoints so, "to avoid file corruption if the save gets interrupted".
#
# Input: a file is replaced within `with fs.transaction, fs.open(path, "wb")`; SIGKILL during the commit.
# Expected: the old file or the new one.
# Seen: a part of the new one. The data are written to tempfile.mkstemp() in the system's temporary
#   folder, not beside the file, and commit() calls shutil.move, which copies between disks.
#
# Exits with 0 while that is so (or where /dev/shm is no other disk), and with 1 when it has changed.
set -eu
folder=$(mktemp -d)
other=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$folder" "$other"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet fsspec==2026.9.0
TMPDIR="$folder" "$folder/env/bin/python" - "$folder" "$other/file" <<'PYTHON'
import os, subprocess, sys
from pathlib import Path

folder, path, size = Path(sys.argv[1]), Path(sys.argv[2]), 600_000_000
if os.stat(folder).st_dev == os.stat(path.parent).st_dev:
    sys.exit(print("not tried: the temporary folder and /dev/shm are one disk"))
path.write_bytes(b"old")
write = f"""
import fsspec
fs = fsspec.filesystem("file")
with fs.transaction, fs.open({str(path)!r}, "wb") as file:
    file.write(bytes({size}))
"""
program = subprocess.Popen([sys.executable, "-c", write])
while program.poll() is None:
    if path.exists() and 3 < path.stat().st_size < size:
        program.kill()
program.wait()
left = path.stat().st_size
print(f"of 3 bytes that were to become {size} there are {left}")
sys.exit(left in (3, size))
PYTHON

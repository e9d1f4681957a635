#!/bin/sh
# rosbags 0.11.9 (pypi.org/project/rosbags) writes a sqlite3 bag whose name has a # into another file.
#
# Input: Writer("take#3", storage_plugin=SQLITE3), one message.
# Expected: take#3/take#3.db3 and take#3/metadata.yaml.
# Seen: take#3/metadata.yaml alone, which names take#3.db3; the messages are in a new file `take` beside
#   the folder. No error: the path goes into an SQLite URI as it is, where # begins a fragment (? and %
#   have meanings of their own there).
#
# Exits with 0 while that is so, and with 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet rosbags==0.11.9
mkdir "$folder/work"
cd "$folder/work"
"$folder/env/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
kind = "std_msgs/msg/String"
with Writer("take#3", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
    topic = writer.add_connection("/words", kind, typestore=store)
    writer.write(topic, 0, bytes(store.serialize_cdr(store.types[kind](data="word"), kind)))
found = sorted(str(path) for path in Path().rglob("*") if path.is_file())
print("files:", ", ".join(found))
sys.exit(found != ["take", "take#3/metadata.yaml"])
PYTHON

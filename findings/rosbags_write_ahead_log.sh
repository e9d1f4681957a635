#!/bin/sh
# rosbags 0.11.9 (pypi.org/project/rosbags) reads a sqlite3 bag without the write-ahead log beside it.
#
# Input: a bag of 4 messages, and 3 more that SQLite has committed to FILE-wal but not yet worked into
#   the file, as rosbag2's storage preset `resilient` leaves it after a power cut. SQLite itself, and so
#   `ros2 bag play`, finds all 7.
# Expected: 7 messages, or an error that names the log.
# Seen: 4 messages, no error and no warning: the file is opened as immutable.
#
# Exits with 0 while that is so, and with 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet rosbags==0.11.9
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import shutil
import sqlite3
import sys
from pathlib import Path

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
kind = "std_msgs/msg/String"
text = bytes(store.serialize_cdr(store.types[kind](data="word"), kind))
with Writer("bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
    topic = writer.add_connection("/words", kind, typestore=store)
    for number in range(4):
        writer.write(topic, number, text)
database = sqlite3.connect("bag/bag.db3")
database.execute("PRAGMA journal_mode=WAL")
insert = "INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)"
database.executemany(insert, [(number, text) for number in range(4, 7)])
database.commit()
shutil.copytree("bag", "cut")  # the power goes here

with Reader(Path("cut/bag.db3")) as reader:
    seen = sum(1 for _ in reader.messages())
expected = sqlite3.connect("cut/bag.db3").execute("SELECT count(*) FROM messages").fetchone()[0]
print(f"SQLite finds {expected} messages, rosbags {seen}")
sys.exit((expected, seen) != (7, 4))
PYTHON

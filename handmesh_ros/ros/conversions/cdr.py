"""A writer of CDR, the wire format of ROS 2: publishers accept messages already serialised.

Point lists as Python objects cost milliseconds per hand; as NumPy bytes they cost a copy.
Layout: OMG "DDS-XTypes" 1.3, section 7.4.3, plain CDR version 1, little endian.
"""

from __future__ import annotations

import struct

import numpy as np
from std_msgs.msg import Header

_ENCAPSULATION = b"\x00\x01\x00\x00"  # plain CDR, little endian; alignment counts from behind it


class CdrWriter:
    """Appends values in declaration order; every one is aligned to its own size."""

    def __init__(self) -> None:
        self._buffer = bytearray(_ENCAPSULATION)

    def write(self, kind: str, *values: float) -> None:
        """Append numbers of one kind, a letter of `struct`."""
        self._align(struct.calcsize(kind))
        self._buffer += struct.pack(f"<{len(values)}{kind}", *values)

    def write_string(self, text: str) -> None:
        """Append a string: its length with the final zero, then its bytes."""
        encoded = text.encode() + b"\0"
        self.write("I", len(encoded))
        self._buffer += encoded

    def write_header(self, header: Header) -> None:
        """Append a std_msgs/Header."""
        self.write("i", header.stamp.sec)
        self.write("I", header.stamp.nanosec)
        self.write_string(header.frame_id)

    def write_sequence(self, elements: np.ndarray) -> None:
        """Append a sequence of structures of equal numbers: (N, fields) float32 or float64."""
        self.write("I", len(elements))
        if len(elements):
            self._align(elements.dtype.itemsize)
            self._buffer += np.ascontiguousarray(elements, elements.dtype.newbyteorder("<")).data

    def write_aligned(self, data: memoryview, alignment: int) -> None:
        """Append what is laid out already; `alignment` is the size of its largest number."""
        self._align(alignment)
        self._buffer += data

    def to_bytes(self) -> bytes:
        """Return the message with its encapsulation header."""
        return bytes(self._buffer)

    def _align(self, size: int) -> None:
        self._buffer += bytes((len(_ENCAPSULATION) - len(self._buffer)) % size)

"""What a setting of the training configuration may be, said beside its type."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from handmesh_ros.errors import HandmeshError


@dataclass(frozen=True)
class Range:
    """Limits of a number, or of each number of a pair that must ascend.

    Attributes:
        low: least value.
        high: greatest value.
    """

    low: float
    high: float = math.inf

    def check(self, value: Any, place: str) -> None:
        """Check a setting's value.

        Args:
            value: a number or a tuple of them.
            place: file and setting, for the message.

        Raises:
            HandmeshError: a number is outside the range or not finite, or the numbers descend.
        """
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(math.isfinite(x) and self.low <= x <= self.high for x in numbers):
            limits = f"{self.low:g} or more"
            if math.isfinite(self.high):
                limits = f"between {self.low:g} and {self.high:g}"
            raise HandmeshError(f"{place} is {value!r}: it must be {limits}.")
        if list(numbers) != sorted(numbers):
            raise HandmeshError(f"{place} is {value!r}: give the smaller number first.")


AtLeastOne = Annotated[int, Range(1)]
Probability = Annotated[float, Range(0, 1)]
Weight = Annotated[float, Range(0)]

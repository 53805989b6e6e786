"""A latency histogram: three significant digits, fixed memory, mergeable.

The bucketing is HdrHistogram's (http://hdrhistogram.org): values below 2,048 are exact; above, each
power of two is split into 1,024 equal buckets, so a bucket is never wider than 0.1 % of its value.
Values are whole nanoseconds. Buckets are sparse, so an unused histogram costs nothing and a full one
(an hour's range) at most some 33,000 counters, however many values it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_HALF_BITS = 10
_EXACT = 1 << (_HALF_BITS + 1)
_HALF_MASK = (1 << _HALF_BITS) - 1
HIGHEST_NS = 3_600_000_000_000
"""Values over one hour are counted as one hour."""


def bucket_of(value_ns: int) -> int:
    """The index of the bucket that counts `value_ns` (not negative)."""
    shift = value_ns.bit_length() - _HALF_BITS - 1
    if shift <= 0:
        return value_ns
    return (shift << _HALF_BITS) + (value_ns >> shift)


def bucket_top(index: int) -> int:
    """The highest value in ns that falls into bucket `index`."""
    if index < _EXACT:
        return index
    shift = (index >> _HALF_BITS) - 1
    low = ((index & _HALF_MASK) | (1 << _HALF_BITS)) << shift
    return low + (1 << shift) - 1


class Histogram:
    """Counts of values in ns, with percentiles to three significant digits."""

    __slots__ = ("_counts", "count", "maximum", "minimum", "total")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        """How many values were recorded."""
        self.total = 0
        """Their sum in ns, exact."""
        self.minimum = 0
        """The smallest value in ns, exact; 0 while empty."""
        self.maximum = 0
        """The largest value in ns, exact; 0 while empty."""
        for value in values:
            self.record(value)

    def record(self, value_ns: int, times: int = 1) -> None:
        """Counts a value in ns; a negative one (a clock that stepped) counts as 0."""
        value = min(max(value_ns, 0), HIGHEST_NS)
        index = bucket_of(value)
        self._counts[index] = self._counts.get(index, 0) + times
        self.minimum = value if self.count == 0 else min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self.count += times
        self.total += value * times

    @classmethod
    def of(cls, buckets: Mapping[int, int], *, total: int, minimum: int, maximum: int) -> Histogram:
        """What was counted elsewhere by `bucket_of`, with the sum and the extremes of the values in ns."""
        made = cls()
        made._counts = dict(buckets)
        made.count = sum(made._counts.values())
        made.total, made.minimum, made.maximum = total, minimum, maximum
        return made

    def merge(self, other: Histogram) -> None:
        """Adds all that `other` counted. Order does not matter, and nothing is lost."""
        if not other.count:
            return
        for index, n in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + n
        self.minimum = other.minimum if not self.count else min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.count += other.count
        self.total += other.total

    def percentile(self, percent: float) -> int:
        """The value in ns that `percent` (0 to 100) of the values don't exceed; 0 while empty."""
        if not self.count:
            return 0
        # Rounded first: 99.9 % of 1000 is 999.0000000000001 in floating point.
        rank = max(1, -int(-round(self.count * min(percent, 100.0) / 100.0, 6) // 1))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= rank:
                return min(bucket_top(index), self.maximum)
        return self.maximum

    @property
    def mean(self) -> float:
        """The arithmetic mean in ns, exact; 0 while empty."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> Iterator[tuple[int, int]]:
        """(highest value in ns, count) of every bucket in use, in order."""
        for index in sorted(self._counts):
            yield bucket_top(index), self._counts[index]

    def counts(self) -> dict[str, int]:
        """The count of every bucket in use, by its index, as JSON has it."""
        return {str(i): n for i, n in sorted(self._counts.items())}

    def to_json(self) -> dict[str, object]:
        """The exact content; `buckets` maps a bucket's index to its count."""
        return {
            "unit": "ns",
            "count": self.count,
            "total": self.total,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "buckets": self.counts(),
        }

    @classmethod
    def from_json(cls, data: object) -> Histogram:
        """What `to_json` wrote. Raises ValueError when it isn't consistent."""
        if not isinstance(data, Mapping) or not isinstance(data.get("buckets"), Mapping):
            raise ValueError("histogram: expected an object with buckets")
        made = cls()
        try:
            made._counts = {int(i): int(n) for i, n in data["buckets"].items()}
            made.count, made.total = int(data["count"]), int(data["total"])
            made.minimum, made.maximum = int(data["minimum"]), int(data["maximum"])
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(f"histogram: {e}") from None
        if sum(made._counts.values()) != made.count or any(n < 0 for n in made._counts.values()):
            raise ValueError("histogram: the buckets don't add up to the count")
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, p50={self.percentile(50)}, max={self.maximum})"

"""A client's report on its way through a pod's log, which is all that leaves a Job.

A log is lines of text, and those who carry it cut long ones (containerd after 16 KiB), mix standard output
with standard error, and repeat lines when a reader connects anew. So the report goes as numbered pieces, each
with its length and checksum, in lines of 8 KiB at most:

    whichpod-result: RESULT INDEX/COUNT LENGTH CRC BASE64

RESULT is the checksum of the whole, gzipped JSON: {"report": ...} or {"error": {"kind", "message", "fix"}}.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichpod.model.codec import to_json
from whichpod.model.errors import ERRORS, ClusterError, ExitCode, UsageError, WhichpodError
from whichpod.model.report import Report
from whichpod.model.text import printable

RESULT, PROGRESS = "whichpod-result:", "whichpod-progress:"
MOST_LINE = 8192
"""Characters of a line."""
MOST_BYTES = 128 << 20
"""What a result may unfold to: far beyond any report."""
MOST_LOG = 16 << 20
"""Characters of a log that are kept in order to mend what was cut in an unlucky place."""
_HEAD = re.compile(rf"{RESULT} ([0-9a-f]{{8}}) (\d{{1,6}})/(\d{{1,6}}) (\d{{1,4}}) ([0-9a-f]{{8}}) ")
_DATA = re.compile(r"[A-Za-z0-9+/=]+")
_PIECE = MOST_LINE - len(f"{RESULT} 01234567 123456/123456 1234 01234567 ")

_BUG = "bug"


def report_lines(report: Report) -> Iterator[str]:
    """The lines, without their ends, that carry a report."""
    return _lines({"report": to_json(report)})


def error_lines(error: Exception) -> Iterator[str]:
    """The lines that carry what a client failed of."""
    said = {"kind": _BUG, "message": f"{type(error).__name__}: {error}", "fix": ""}
    if isinstance(error, WhichpodError):
        known = (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS)
        said = {"kind": next(known, _BUG), "message": error.message, "fix": error.fix}
    return _lines({"error": said})


def progress_line(progress: object) -> str:
    """The line that says how far a client is: a dataclass, or {"waits_at": PORT} at its gate."""
    return f"{PROGRESS} {json.dumps(to_json(progress), separators=(',', ':'))}"


def read_progress(line: str) -> dict[str, Any] | None:
    """What a `progress_line` says, as JSON; None for any other line."""
    _, found, text = line.partition(f"{PROGRESS} ")
    if not found:
        return None
    try:
        said = json.loads(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def read_result(lines: Iterable[str]) -> Report:
    """The report in a log. Raises as `ResultReader.report`."""
    reader = ResultReader()
    for line in lines:
        reader.take(line)
    return reader.report()


@dataclass(slots=True)
class _Piece:
    """A piece whose line may have been cut: what belongs to it can come in later lines."""

    result: str
    index: int
    count: int
    size: int
    crc: str
    data: str

    @property
    def whole(self) -> bool:
        return len(self.data) == self.size and _crc(self.data.encode()) == self.crc


@dataclass(slots=True)
class ResultReader:
    """Takes a log, line by line, and has the report once all of its pieces came."""

    _pieces: dict[str, dict[int, str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _open: _Piece | None = None
    _log: list[str] = field(default_factory=list)
    _kept: int = 0
    _last: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self._complete() is not None

    def take(self, line: str) -> None:
        """Reads a line of the log; whatever else stands in it is passed over."""
        line = line.rstrip("\r\n")
        if PROGRESS in line:
            return
        if self._kept < MOST_LOG:
            self._log.append(line)
            self._kept += len(line)
        at = RESULT in line
        if not at and line.strip():
            self._last = line
        for head in _HEAD.finditer(line):
            self._open = piece = _piece(head, line)
            if piece.whole:
                self._keep(piece)
        if not at and self._open and _DATA.fullmatch(line):
            # A line was cut, and this may be where it goes on.
            self._open.data += line
            if self._open.whole:
                self._keep(self._open)
            elif len(self._open.data) > self._open.size:
                self._open = None

    def report(self) -> Report:
        """The report. Raises what the client failed of (UsageError, TargetError, LabError, ClusterError), and
        ClusterError where the log has no result, only a part of one, or one that can't be read."""
        self._mend()
        found = self._complete()
        if found is None:
            raise self._missing()
        data = _unpack(found)
        if "error" in data:
            raise _error(data["error"])
        try:
            return Report.from_text(json.dumps(data["report"]))
        except (KeyError, UsageError) as e:
            why = e.message if isinstance(e, UsageError) else "It holds no report."
            raise ClusterError(
                f"The client's result can't be read. {why}",
                fix="Is the image of the same version as whichpod here?",
            ) from None

    def _keep(self, piece: _Piece) -> None:
        self._open = None
        self._counts[piece.result] = piece.count
        self._pieces.setdefault(piece.result, {})[piece.index] = piece.data

    def _complete(self) -> bytes | None:
        for result, pieces in reversed(self._pieces.items()):
            count = self._counts[result]
            if len(pieces) < count or any(i not in pieces for i in range(1, count + 1)):
                continue
            try:
                data = b64decode("".join(pieces[i] for i in range(1, count + 1)), validate=True)
            except binascii.Error:
                continue
            if _crc(data) == result:
                return data
        return None

    def _mend(self) -> None:
        """Reads the log as one text, for the pieces whose lines were cut before their data began."""
        if self.complete:
            return
        text = "".join(self._log)
        for head in _HEAD.finditer(text):
            piece = _piece(head, text)
            if piece.whole:
                self._keep(piece)

    def _missing(self) -> ClusterError:
        if self._pieces:
            result = max(self._pieces, key=lambda r: len(self._pieces[r]))
            there, count = len(self._pieces[result]), self._counts[result]
            return ClusterError(
                f"The client's log has {there} of the {count} parts of its result.",
                fix="Its log was cut. Read it again, or look whether the node rotates logs that early.",
            )
        said = f" The last that it wrote: {printable(self._last)}" if self._last else " It wrote nothing."
        return ClusterError(
            f"The client ended without a result.{said}", fix="Was its pod killed, or evicted?"
        )


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9, wbits=31)
    text = b64encode(packed).decode()
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    for index, piece in enumerate(pieces, 1):
        yield f"{RESULT} {_crc(packed)} {index}/{len(pieces)} {len(piece)} {_crc(piece.encode())} {piece}"


def _piece(head: re.Match[str], text: str) -> _Piece:
    result, index, count, size, crc = head.groups()
    data = text[head.end() : head.end() + int(size)]
    return _Piece(result, int(index), int(count), int(size), crc, data)


def _crc(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _unpack(packed: bytes) -> dict[str, Any]:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        data = json.loads(unpacking.decompress(packed, MOST_BYTES))
    except (zlib.error, ValueError) as e:
        raise ClusterError(f"The client's result can't be read: {e}.") from None
    if not isinstance(data, dict):
        raise ClusterError("The client's result can't be read: it is no object.")
    return data


def _error(said: Any) -> WhichpodError:
    said = said if isinstance(said, dict) else {}
    kind, message, fix = (str(said.get(name, "")) for name in ("kind", "message", "fix"))
    if kind in ERRORS:
        return ERRORS[kind](message, fix=fix)
    return ClusterError(
        f"The client failed: {message or 'it does not say of what'}.", fix="Its pod's log says more."
    )


def exit_code_of(error: Exception) -> ExitCode:
    """What a client that failed ends with."""
    return error.exit_code if isinstance(error, WhichpodError) else ExitCode.BUG

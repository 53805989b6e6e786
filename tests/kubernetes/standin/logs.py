"""Pods' logs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Log:
    text: str = ""
    ended: bool = False


@dataclass(slots=True)
class Logs:
    """By namespace, pod and container; a pod with one log has it for every container."""

    _logs: dict[tuple[str, str, str], _Log] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def write(self, namespace: str, pod: str, text: str, container: str = "") -> None:
        with self._changed:
            self._logs.setdefault((namespace, pod, container), _Log()).text += text
            self._changed.notify_all()

    def end(self, namespace: str, pod: str, container: str = "") -> None:
        with self._changed:
            self._logs.setdefault((namespace, pod, container), _Log()).ended = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def read(self, namespace: str, pod: str, container: str) -> str:
        with self._changed:
            return self._of(namespace, pod, container).text

    def follow(self, namespace: str, pod: str, container: str) -> Iterator[str]:
        """Pieces as they come; an empty one now and then, so that the reader can look whether to go on."""
        at = 0
        while True:
            with self._changed:
                log = self._of(namespace, pod, container)
                if len(log.text) == at and not log.ended and not self._closed:
                    self._changed.wait(0.2)
                piece, ended = log.text[at:], log.ended or self._closed
            at += len(piece)
            yield piece
            if ended and not piece:
                return

    def _of(self, namespace: str, pod: str, container: str) -> _Log:
        for key in ((namespace, pod, container), (namespace, pod, "")):
            if key in self._logs:
                return self._logs[key]
        return _Log()

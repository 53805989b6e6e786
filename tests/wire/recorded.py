"""Events in a form that two runs can be compared by."""

from __future__ import annotations

from typing import Any

from whichpod.wire import Body, Ended, Event, Failed, Opened, Stream, Terminated


def plain(event: Event) -> tuple[Any, ...]:
    if isinstance(event, Stream):
        return ("stream", *_content(event))
    if isinstance(event, Opened):
        return ("opened", event.stream.id, event.stream.head and event.stream.head.fields)
    if isinstance(event, Body):
        return ("body", event.stream.id, event.data, event.size)
    if isinstance(event, Ended):
        return ("ended", *_content(event.stream))
    if isinstance(event, Failed):
        error = event.error
        return (
            "failed",
            event.stream.id,
            type(error),
            error.code,
            error.stream_id,
            str(error),
            event.retryable,
        )
    if isinstance(event, Terminated):
        return ("terminated", event.error and (type(event.error), event.error.code, str(event.error)))
    return ("other", repr(event))


def _content(stream: Stream) -> tuple[Any, ...]:
    head, trailers = stream.head, stream.trailers
    return stream.id, head and head.fields, stream.body, trailers and trailers.fields

"""Server reflection (grpc.reflection.v1alpha), as grpcio-reflection answers it. Its modules and the services'
descriptors are imported when somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from whichpod.echo.fast.codec import DecodeError
from whichpod.echo.fast.pod import HEALTH_SERVICE, REFLECTION_SERVICE
from whichpod.echo.names import SERVICE

SERVICES = tuple(sorted((SERVICE, HEALTH_SERVICE, REFLECTION_SERVICE)))


def answer(message: bytes) -> bytes:
    """A serialised ServerReflectionResponse to a serialised ServerReflectionRequest. Raises DecodeError."""
    from google.protobuf.message import DecodeError as RuntimeDecodeError
    from grpc_reflection.v1alpha import reflection_pb2

    try:
        request = reflection_pb2.ServerReflectionRequest.FromString(message)
    except RuntimeDecodeError as error:
        raise DecodeError(str(error)) from error
    response = reflection_pb2.ServerReflectionResponse(original_request=request)
    asked = request.WhichOneof("message_request")
    if asked is None:
        response.error_response.error_code = 3
        response.error_response.error_message = "invalid argument"
    elif asked == "list_services":
        for name in SERVICES:
            response.list_services_response.service.add(name=name)
    else:
        try:
            _FINDERS[asked](_pool(), getattr(request, asked), response)
        except KeyError:
            response.error_response.error_code = 5
            response.error_response.error_message = "not found"
    found: bytes = response.SerializeToString()
    return found


@cache
def _pool() -> Any:
    """Every type that is known, those of the services among them."""
    from google.protobuf import descriptor_pool
    from grpc_health.v1 import health_pb2  # noqa: F401

    from whichpod.echo.v1 import echo_pb2  # noqa: F401

    return descriptor_pool.Default()


def _file(pool: Any, name: str, response: Any) -> None:
    _add_files(pool.FindFileByName(name), response)


def _symbol(pool: Any, name: str, response: Any) -> None:
    _add_files(pool.FindFileContainingSymbol(name), response)


def _extension(pool: Any, asked: Any, response: Any) -> None:
    kind = pool.FindMessageTypeByName(asked.containing_type)
    found = pool.FindExtensionByNumber(kind, asked.extension_number)
    _add_files(pool.FindFileContainingSymbol(found.full_name), response)


def _extension_numbers(pool: Any, name: str, response: Any) -> None:
    kind = pool.FindMessageTypeByName(name)
    numbers = response.all_extension_numbers_response
    numbers.base_type_name = kind.full_name
    numbers.extension_number.extend(sorted(extension.number for extension in pool.FindAllExtensions(kind)))


def _add_files(descriptor: Any, response: Any) -> None:
    """The file and all that it imports, each once."""
    files = {descriptor.name: descriptor}
    waiting = [descriptor]
    while waiting:
        for needed in waiting.pop(0).dependencies:
            if needed.name not in files:
                files[needed.name] = needed
                waiting.append(needed)
    # The empty list is an answer too: it sets the field.
    response.file_descriptor_response.SetInParent()
    for file in files.values():
        response.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)


_FINDERS: dict[str, Callable[[Any, Any, Any], None]] = {
    "file_by_filename": _file,
    "file_containing_symbol": _symbol,
    "file_containing_extension": _extension,
    "all_extension_numbers_of_type": _extension_numbers,
}

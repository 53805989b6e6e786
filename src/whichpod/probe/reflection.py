"""What a unary method takes and answers, learnt by server reflection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target
from whichpod.probe.channels import Channels
from whichpod.probe.failures import described, target_error


@dataclass(frozen=True, slots=True)
class Method:
    """A unary method and the plan's request to it."""

    path: str
    """/package.Service/Method"""
    request: bytes
    """The request, serialised."""
    reply: Any
    """The class of its answers."""
    numbers: tuple[int, ...] = ()
    """Field numbers on the way to the field that names the server, where one does."""


def learn(target: Target, plan: Plan) -> Method:
    """Asks over a channel of its own. Raises as `learn_on` does."""
    channel = Channels(target, plan).make()
    try:
        return learn_on(channel, target, plan)
    finally:
        channel.close()


def learn_on(channel: grpc.Channel, target: Target, plan: Plan) -> Method:
    """Asks the server for the types of the plan's method.

    Raises UsageError for a method, data or field that it doesn't have, TargetError where it can't be
    asked.
    """
    service, _, name = plan.method.partition("/")
    # The database asks without a deadline of its own.
    asked = grpc.intercept_channel(channel, _Deadline(plan.deadline_s))
    try:
        database = ProtoReflectionDescriptorDatabase(asked)
        known = database.get_services()
        if service not in known:
            raise UsageError(
                f"{target.address} has no service {service}.", fix=f"It has {', '.join(sorted(known))}."
            )
        # Its reflection answers with the files that define it, one after another.
        methods = descriptor_pool.DescriptorPool(database).FindServiceByName(service).methods_by_name
    except grpc.RpcError as error:
        raise _not_learnt(target, plan, error) from None
    if name not in methods:
        raise UsageError(f"{service} has no method {name}.", fix=f"It has {', '.join(sorted(methods))}.")
    method = methods[name]
    if method.client_streaming or method.server_streaming:
        raise UsageError(f"{plan.method} streams.", fix="--method takes unary methods.")
    how, _, path = plan.identify.partition(":")
    numbers = _numbers(method.output_type, path) if how == "field" else ()
    request = message_factory.GetMessageClass(method.input_type)()
    try:
        json_format.Parse(plan.data or "{}", request)
    except json_format.ParseError as error:
        raise UsageError(
            f"--data is no {method.input_type.full_name}: {error}", fix="Write it as proto3 JSON."
        ) from None
    reply = message_factory.GetMessageClass(method.output_type)
    return Method(f"/{plan.method}", request.SerializeToString(), reply, numbers)


def _not_learnt(target: Target, plan: Plan, error: grpc.RpcError) -> TargetError:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return TargetError(
            f"{target.address} has no server reflection to tell the types of {plan.method}.",
            fix="Turn reflection on there (grpc.reflection.v1alpha).",
        )
    found = target_error(target.address, error, tls=target.tls is not None)
    return found or TargetError(f"{target.address} fails reflection: {described(error)}.")


def _numbers(kind: Any, path: str) -> tuple[int, ...]:
    found: list[int] = []
    field: Any = None
    for part in path.split("."):
        field = kind.fields_by_name.get(part) if kind is not None else None
        if field is None:
            raise UsageError(f"The answer has no field {path}.", fix="Name it as the .proto does.")
        if field.is_repeated:
            raise UsageError(f"The answer's field {part} is a list.", fix="Name a field that is none.")
        found.append(field.number)
        kind = field.message_type
    if kind is not None or field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        raise UsageError(
            f"The answer's field {path} is a {kind.full_name if kind else 'floating-point number'}.",
            fix="Name a field that holds a string or a whole number.",
        )
    return tuple(found)


class _Deadline(grpc.StreamStreamClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(_Details(details, self._seconds), requests)


class _Details(grpc.ClientCallDetails):
    def __init__(self, given: Any, seconds: float) -> None:
        self.method = given.method
        self.timeout = seconds
        self.metadata = given.metadata
        self.credentials = given.credentials
        self.wait_for_ready = given.wait_for_ready
        self.compression = given.compression

"""Any unary method of any service, its types learnt by server reflection."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from whichpod.model.errors import TargetError, UsageError
from whichpod.model.metadata import wire_metadata
from whichpod.model.plan import PEER, Plan
from whichpod.model.target import Backend, Learnt, Target
from whichpod.probe.calls import Answer, Call, told_in_trailers, value_of
from whichpod.probe.failures import described, target_error


class MethodCalls:
    """Makes calls of a plan's method. `learn` its types first."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self._target = target
        self._plan = plan
        self._metadata = wire_metadata(plan.metadata)
        self._how, _, self._name = plan.identify.partition(":")
        self._types: tuple[Any, Any] | None = None
        self._backends: dict[tuple[str, str], Backend] = {}

    def on(self, channel: grpc.Channel) -> Call:
        """The plan's RPC on a channel."""
        assert self._types is not None, "learn comes first"
        request, reply_class = self._types
        unary = channel.unary_unary(
            f"/{self._plan.method}", type(request).SerializeToString, reply_class.FromString
        )

        def call() -> Answer:
            reply, done = unary.with_call(request, timeout=self._plan.deadline_s, metadata=self._metadata)
            return Answer(self._backend(reply, done), "", "", 1)

        return call

    def learn(self, channel: grpc.Channel) -> None:
        """Asks the server for the method's types.

        Raises UsageError for a method, data or field that it doesn't have, TargetError where it can't be
        asked.
        """
        service, _, name = self._plan.method.partition("/")
        # The database asks without a deadline of its own.
        asked = grpc.intercept_channel(channel, _Deadline(self._plan.deadline_s))
        try:
            database = ProtoReflectionDescriptorDatabase(asked)
            known = database.get_services()
            if service not in known:
                raise UsageError(
                    f"{self._target.address} has no service {service}.",
                    fix=f"It has {', '.join(sorted(known))}.",
                )
            # Its reflection answers with the files that define it, one after another.
            methods = descriptor_pool.DescriptorPool(database).FindServiceByName(service).methods_by_name
        except grpc.RpcError as error:
            raise self._not_learnt(error) from None
        if name not in methods:
            raise UsageError(f"{service} has no method {name}.", fix=f"It has {', '.join(sorted(methods))}.")
        method = methods[name]
        if method.client_streaming or method.server_streaming:
            raise UsageError(f"{self._plan.method} streams.", fix="--method takes unary methods.")
        self._check_field(method.output_type)
        request = message_factory.GetMessageClass(method.input_type)()
        try:
            json_format.Parse(self._plan.data or "{}", request)
        except json_format.ParseError as error:
            raise UsageError(
                f"--data is no {method.input_type.full_name}: {error}", fix="Write it as proto3 JSON."
            ) from None
        self._types = request, message_factory.GetMessageClass(method.output_type)

    def _not_learnt(self, error: grpc.RpcError) -> TargetError:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return TargetError(
                f"{self._target.address} has no server reflection to tell the types of {self._plan.method}.",
                fix="Turn reflection on there (grpc.reflection.v1alpha).",
            )
        found = target_error(self._target.address, error, tls=self._target.tls is not None)
        return found or TargetError(f"{self._target.address} fails reflection: {described(error)}.")

    def _check_field(self, kind: Any) -> None:
        if self._how != "field":
            return
        for part in self._name.split("."):
            found = kind.fields_by_name.get(part) if kind is not None else None
            if found is None:
                raise UsageError(f"The answer has no field {self._name}.", fix="Name it as the .proto does.")
            kind = found.message_type

    def _backend(self, reply: Any, done: Any) -> Backend | None:
        if self._how == "field":
            for part in self._name.split("."):
                reply = getattr(reply, part)
            return self._named(str(reply), "", "identity")
        return None if self._how == PEER else self._by_metadata(done)

    def blamed(self, error: grpc.RpcError) -> Backend | None:
        """Who failed an RPC, where its metadata tells."""
        return None if self._how in ("field", PEER) else self._by_metadata(error)

    def _by_metadata(self, done: Any) -> Backend | None:
        if self._how == "header":
            return self._named(value_of(done.initial_metadata(), self._name), "", "header")
        trailers = done.trailing_metadata()
        if self._how == "trailer":
            return self._named(value_of(trailers, self._name), "", "header")
        return self._named(*told_in_trailers(trailers), "identity")

    def _named(self, name: str, pod: str, learnt: Learnt) -> Backend | None:
        if not name:
            return None
        found = self._backends.get((name, pod))
        if found is None:
            found = self._backends[name, pod] = Backend(name, pod, learnt=learnt)
        return found


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

"""Any unary method of any service, its types learnt by server reflection."""

from __future__ import annotations

from typing import Any

import grpc

from whichpod.model.metadata import wire_metadata
from whichpod.model.plan import PEER, Plan
from whichpod.model.target import Backend, Learnt, Target
from whichpod.probe.calls import Answer, Call, told_in_trailers, value_of
from whichpod.probe.reflection import Method, learn_on


class MethodCalls:
    """Makes calls of a plan's method. `learn` its types first."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self._target = target
        self._plan = plan
        self._metadata = wire_metadata(plan.metadata)
        self._how, _, self._name = plan.identify.partition(":")
        self._method: Method | None = None
        self._backends: dict[tuple[str, str], Backend] = {}

    def on(self, channel: grpc.Channel) -> Call:
        """The plan's RPC on a channel."""
        method = self._method
        assert method is not None, "learn comes first"
        unary = channel.unary_unary(method.path, None, method.reply.FromString)

        def call() -> Answer:
            reply, done = unary.with_call(
                method.request, timeout=self._plan.deadline_s, metadata=self._metadata
            )
            return Answer(self._backend(reply, done), "", "", 1)

        return call

    def learn(self, channel: grpc.Channel) -> None:
        """Asks the server for the method's types. Raises as `reflection.learn_on` does."""
        self._method = learn_on(channel, self._target, self._plan)

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

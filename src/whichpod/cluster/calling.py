"""What a load run calls: from a plan to the load engine's terms, by reflection where it takes that."""

from __future__ import annotations

import base64
import dataclasses
import re

from whichpod.load.call import Call, How, Identify, echo_call
from whichpod.model.plan import Plan
from whichpod.model.target import Target

REFLECTION_S = 5.0
"""Least time that reflection gets, however short the RPCs' deadline is."""
_NUMBERS = re.compile(r"[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8})*")


def call_of(target: Target, plan: Plan, payload: bytes) -> Call:
    """The plan's call; asks the server for the method's types where they are needed.

    Raises UsageError for a method, data or field that it doesn't have, TargetError where it can't be asked.
    """
    if not plan.method:
        return echo_call(payload)
    how, _, name = plan.identify.partition(":")
    numbers: tuple[int, ...] = ()
    if how == "field" and _NUMBERS.fullmatch(name):
        numbers = tuple(map(int, name.split(".")))
    path, message = f"/{plan.method}", base64.b64decode(plan.message)
    # An empty message is the same bytes whatever its type is.
    if plan.data or (how == "field" and not numbers):
        from whichpod.probe.reflection import learn

        asking = dataclasses.replace(plan, deadline_s=max(plan.deadline_s, REFLECTION_S))
        if numbers:
            asking = dataclasses.replace(asking, identify="")
        method = learn(target, asking)
        path, numbers = method.path, numbers or method.numbers
        message = message or method.request
    return Call(path, message, Identify(_how(how), name.lower() if how != "field" else name, numbers))


def _how(how: str) -> How:
    match how:
        case "header" | "trailer" | "field" | "peer":
            return how
    return "servers"

"""`python -m whichpod.cluster.kubernetes.inside`: what runs in a client's container.

It reads its task from the environment, waits for its sidecar where it is told to, runs, and writes the result
to its log (`result`). SIGTERM ends it early: it reports what there is. See `task` for the environment.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from whichpod.model.errors import ClusterError, ExitCode, UsageError

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.task import Task
    from whichpod.model.report import Report

ANSWER_S = 2.0
"""How long a sidecar may take to answer a question."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5


def main() -> int:
    """Runs the task. Returns the exit code: 0 when there is a report, whatever it says, else the error's."""
    # The first process of a container has no default for SIGTERM: without a handler it would not end.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # Imported with the handlers in place, as it takes some tenths of a second.
    from whichpod.cluster.kubernetes.result import error_lines, exit_code_of, report_lines
    from whichpod.cluster.kubernetes.task import QUIT

    try:
        report = _run(os.environ, stop)
    except Exception as error:
        if (code := exit_code_of(error)) is ExitCode.BUG:
            traceback.print_exc()
        _write(error_lines(error))
    else:
        code = ExitCode.OK
        _write(report_lines(report))
    finally:
        end_sidecar(os.environ.get(QUIT, "").split())
    return code


def _run(environment: Mapping[str, str], stop: threading.Event) -> Report:
    from whichpod.cluster.kubernetes.task import INDEX, NODE, POD, READY, Task

    task = Task.of_env(environment)
    index = environment.get(INDEX, "0")
    task = task.part(int(index) if index.isdigit() else 0)
    await_sidecar(environment.get(READY, "").split(), task.ready_s, stop)
    timer = threading.Timer(task.limit_s, stop.set) if task.limit_s > 0 else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        report = _probe(task, stop) if task.do == "probe" else _bench(task, stop)
    finally:
        if timer:
            timer.cancel()
    # Where the client stood: one on a backend's own node has a shorter way.
    for name, variable in (("client pod", POD), ("client node", NODE)):
        if environment.get(variable):
            report.environment[name] = environment[variable]
    return report


def _wait_at_gate(port: int, stop: threading.Event) -> None:
    from whichpod.cluster.kubernetes.gate import Gate
    from whichpod.cluster.kubernetes.result import progress_line

    try:
        gate = Gate(port)
    except (OSError, OverflowError) as e:
        raise ClusterError(f"The client can't listen on port {port}: {e}.", fix="Choose another.") from None
    with gate:
        _write([progress_line({"waits_at": port})])
        gate.wait(stop)


def _probe(task: Task, stop: threading.Event) -> Report:
    from whichpod.probe.run import probe

    if task.gate:
        _wait_at_gate(task.gate, stop)
    return probe(task.target, task.plan, progress=_teller(task.progress_s), stop=stop)


def _bench(task: Task, stop: threading.Event) -> Report:
    from whichpod.load.run import bench
    from whichpod.probe.resolve import reachable

    if task.target.address.startswith("xds:"):
        raise UsageError("The load engine does not speak xDS.", fix="Probe it, or name the Service by DNS.")
    addresses = reachable(task.target.address)
    call = task.call
    if call is None and task.plan.method:
        from whichpod.cluster.calling import call_of

        call = call_of(task.target, task.plan, b"")
    return bench(
        task.target,
        task.plan,
        call,
        addresses=addresses,
        progress=_teller(task.progress_s),
        stop=stop,
        # With its connections up: what it takes to open them differs from pod to pod.
        gate=(lambda: _wait_at_gate(task.gate, stop)) if task.gate else None,
    )


def await_sidecar(addresses: list[str], within_s: float, stop: threading.Event) -> None:
    """Waits until one of the addresses answers with 200, or `stop` is set; none: returns at once.

    Raises ClusterError when it isn't ready in time, with what it said last.
    """
    deadline, pause, last = time.monotonic() + within_s, FIRST_PAUSE_S, ""
    while addresses and not stop.is_set():
        said = [_ask("GET", address) for address in addresses]
        if "" in said:
            return
        last = said[0]
        if time.monotonic() + pause > deadline:
            raise ClusterError(
                f"The client's sidecar was not ready within {within_s:g} s: {last}.",
                fix="Can it reach the control plane? See the log of its container istio-proxy.",
            )
        stop.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def end_sidecar(addresses: list[str]) -> None:
    """Tells a sidecar that isn't a native one to end, since its pod would go on for ever with it."""
    said = []
    for address in addresses:
        if not (why := _ask("POST", address)):
            return
        said.append(f"{address}: {why}")
    if said:
        print(f"The sidecar can't be told to end: {'; '.join(said)}.", file=sys.stderr, flush=True)


def _ask(method: str, address: str) -> str:
    """Empty when the answer is 200, else what came of it. No proxy of the environment is used."""
    try:
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)
    except ValueError as e:
        return f"it is no address: {e}"
    try:
        connection.request(method, parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as e:
        return str(e) or type(e).__name__
    finally:
        connection.close()
    return "" if status == 200 else f"it answers with status {status}"


def _teller(every_s: float) -> Callable[[object], None] | None:
    from whichpod.cluster.kubernetes.result import progress_line

    if every_s <= 0:
        return None
    due = 0.0

    def tell(progress: object) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + every_s
            _write([progress_line(progress)])

    return tell


def _write(lines: Iterable[str]) -> None:
    # A line with its end in one write: another writer's can't come between.
    for line in lines:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

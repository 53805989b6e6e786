"""A lab that stays, for a person at a terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whichpod.model.lab import (
    ClusterCounters,
    EventStatus,
    LabStatus,
    PodStatus,
    ServiceStatus,
    SidecarConfig,
    SidecarStats,
)
from whichpod.model.usage import Role, Usage

MOST_PODS = 40
"""Pods that are listed one by one; of more, those that are not well are."""
_STYLES = {"running": "", "starting": "yellow", "stopped": "yellow", "ending": "dim", "back-off": "red"}


def print_status(console: Console, status: LabStatus) -> None:
    """Writes pods, Services, what sidecars do, and the last events."""
    version = ", ".join(f"{k} {v}" for k, v in status.environment.items())
    console.print(
        Text.assemble(
            ("lab ", "bold"), (status.name, "bold"),
            f" on {status.cluster}, up {age(status.up_s)}, process {status.pid} ({version or 'no proxies'})",
        )
    )  # fmt: skip
    for what, up in (("The control plane", status.control_plane), ("DNS", status.dns)):
        if not up:
            console.print(Text(f"{what} is down.", "red"))
    console.print()
    _pods(console, status.pods)
    console.print()
    _services(console, status.services)
    if status.events:
        console.print()
        for event in status.events:
            console.print(Text(event_line(event), "dim"))


def _pods(console: Console, pods: tuple[PodStatus, ...]) -> None:
    shown = pods
    if len(pods) > MOST_PODS:
        shown = tuple(p for p in pods if not p.ready or p.faults or p.state != "running")[:MOST_PODS]
        counts = Counter(p.workload for p in pods)
        for workload, count in counts.items():
            ready = sum(p.ready for p in pods if p.workload == workload)
            console.print(f"{workload}: {ready} of {count} pods ready")
    if not shown:
        return
    zones = any(p.zone for p in shown)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in (
        "pod",
        "ready",
        "state",
        "restarts",
        "age",
        "ip",
        "node",
        *(["zone"] * zones),
        "sidecar",
        "",
    ):
        table.add_column(name, no_wrap=name != "", justify="right" if name in ("restarts", "age") else "left")
    for p in shown:
        table.add_row(
            p.name,
            Text("yes", "green") if p.ready else Text("no", "red"),
            Text(p.state, _STYLES.get(p.state, "")),
            str(p.restarts),
            age(p.age_s),
            p.ip,
            p.node,
            *([p.zone] * zones),
            "yes" if p.sidecar else "no",
            _remark(p),
        )
    console.print(table)


def _remark(pod: PodStatus) -> Text:
    said = [f"{name.replace('_', ' ')} {value}" for name, value in pod.faults.items()]
    if pod.reason and not pod.ready:
        said.append(pod.reason)
    return Text("; ".join(said), "yellow")


def _services(console: Console, services: tuple[ServiceStatus, ...]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("service", "address", "ports", "endpoints"):
        table.add_column(name, no_wrap=name != "ports")
    for s in services:
        ports = ", ".join(
            f"{p.port}{f' {p.name}' if p.name else ''} to {p.target} ({p.protocol})" for p in s.ports
        )
        ready = f"{len(s.ready)} of {s.pods} ready"
        table.add_row(s.name, s.cluster_ip or "headless", ports, ready if s.pods else Text("none", "yellow"))
    console.print(table)
    told = [(s.name, policy) for s in services for policy in s.policies]
    if told:
        console.print()
        console.print(Text("What callers' sidecars do", "dim"))
        for name, policy in told:
            console.print(f"{name} {policy}")


def event_line(event: EventStatus) -> str:
    """An event on a line: the time of day, what happened to whom, and more of it."""
    at = event.at.partition("T")[2][:8]
    return f"{at}  {event.kind:<10} {event.what}{f'  {event.detail}' if event.detail else ''}"


def print_config(console: Console, config: SidecarConfig) -> None:
    """Writes listeners, routes and clusters."""
    whose = "the client" if config.owner == "client" else f"pod {config.owner}"
    console.print(Text(f"The sidecar of {whose}", "bold"))
    for title, rows in (
        ("listener", [(li.name, li.address, li.does) for li in config.listeners]),
        ("route", [(r.configuration, f"{r.domains} {r.match}", r.does) for r in config.routes]),
        ("cluster", [(c.name, c.does, ", ".join(c.endpoints) or "no endpoints") for c in config.clusters]),
    ):
        if not rows:
            continue
        console.print()
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in (title, "", ""):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for refusal in config.refused:
        console.print(Text(f"It refused: {refusal}", "red"))


def print_stats(console: Console, stats: SidecarStats) -> None:
    """Writes the counters of each endpoint, and the last probe by both counts."""
    for cluster in stats.clusters:
        if cluster.endpoints:
            _counters(console, cluster)
            console.print()
    if stats.last_probe is None:
        if stats.owner == "client":
            console.print("No probe has gone through it yet: whichpod lab probe SERVICE --meshed")
        return
    by_client, by_sidecar = stats.last_probe.by_client, stats.last_probe.by_sidecar
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("last probe", no_wrap=True)
    for name in ("by the client", "by its sidecar"):
        table.add_column(name, justify="right")
    for pod in sorted({*by_client, *by_sidecar}):
        table.add_row(pod, str(by_client.get(pod, 0)), str(by_sidecar.get(pod, 0)))
    console.print(table)
    if by_client == by_sidecar:
        console.print("Both counts agree.")
    else:
        console.print(
            "They differ: a sidecar's retries count for it alone, RPCs that end in it for the client."
        )


def print_usage(console: Console, usage: Usage, done: int) -> None:
    """Writes what client, proxies and servers used of the CPU for each RPC."""
    parts = [(r, usage.cpu_s(r)) for r in Role if usage.cpu_s(r)]
    if not (parts and done):
        return
    listed = ", ".join(f"{role} {1e6 * cpu_s / done:.3g} µs" for role, cpu_s in parts)
    # The kernel counts in hundredths of a second, which may be more than a short run took.
    busy = min(usage.busy_cores, usage.cpus)
    console.print(f"CPU per RPC: {listed}; {busy:.2f} of {usage.cpus} cores were busy")


def _counters(console: Console, cluster: ClusterCounters) -> None:
    console.print(Text(cluster.name, "bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("endpoint", no_wrap=True)
    for name in ("rq_total", "rq_success", "rq_error", "rq_active", "cx_total", "cx_connect_fail"):
        table.add_column(name, justify="right")
    for e in cluster.endpoints:
        counts = (e.requests, e.successes, e.errors, e.active, e.connections, e.connect_failures)
        named = f"{e.pod or e.address}{' (ejected)' if e.ejected else ''}"
        table.add_row(Text(named, "red" if e.ejected else ""), *map(str, counts))
    console.print(table)
    if cluster.requests:
        listed = ", ".join(f"{k} {v}" for k, v in sorted(cluster.requests.items()) if v)
        console.print(Text(listed, "dim"))


def age(seconds: float) -> str:
    """`7s`, `12m`, `3h` or `2d`, as kubectl has it."""
    for unit, size, limit in (("s", 1, 120), ("m", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{int(seconds / size)}{unit}"
    return f"{int(seconds / 86400)}d"

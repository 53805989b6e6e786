"""Live labs: pods that come, go, end, hang and are replaced, and what clients notice."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cluster.conftest import eventually
from tests.cluster.living import EVENLY, QUICK, Living, living
from tests.cluster.manifests import ROUND_ROBIN, bundle, deployment, service
from whichpod.cluster.protocol import Client
from whichpod.model.errors import LabError, TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.probe.run import Progress

HEADLESS = Client("direct")
ECHO = deployment(sidecar=True, more="lifecycle: {preStop: {sleep: {seconds: 1}}}")
"""Pods that go on for a moment after endpoints have lost them, until all callers have heard of that."""
MESHED = Client("echo", meshed=True)


@pytest.fixture(scope="module")
def plain() -> Iterator[Living]:
    """Three pods, headless; tests leave three that are well behind."""
    with living(bundle(deployment(probe=QUICK), service("direct", headless=True)), HEADLESS) as lab:
        yield lab


@pytest.fixture(scope="module")
def meshed() -> Iterator[Living]:
    with living(bundle(ECHO, service(), ROUND_ROBIN), MESHED) as lab:
        yield lab


def test_scaling_up_and_down(plain: Living) -> None:
    before = plain.ready
    plain.run(plain.lab.scale("echo", 5))
    assert len(plain.ready) == 5
    assert sorted(plain.counts(HEADLESS).values()) == [6] * 5
    plain.run(plain.lab.scale("default/echo", 3))
    plain.run(plain.lab.settled())
    assert plain.ready == before, "the youngest go"
    assert plain.lab.bundle.deployment("echo").replicas == 3
    assert [e.detail for e in plain.lab.events if e.kind == "scale"][-2:] == ["3 to 5", "5 to 3"]


def fresh(lab: Living) -> str:
    """A pod whose next restart comes at once."""
    return min(lab.ready, key=lambda name: lab.pods[name].restarts)


def test_a_pod_that_was_killed_is_started_again(plain: Living) -> None:
    name = fresh(plain)
    restarts = plain.pods[name].restarts
    first = plain.pod(name).processes["echo"].pid
    plain.run(plain.lab.kill(name, signal.SIGKILL))
    plain.until(lambda: plain.pods[name].restarts == restarts + 1 and plain.pods[name].ready, "its restart")
    assert plain.pod(name).processes["echo"].pid != first
    assert plain.happened("died", "unready", "restarted", "ready", to=name)[-4:] == [
        "unready",
        "died",
        "restarted",
        "ready",
    ]
    assert [e.detail for e in plain.lab.events if e.kind == "died"][-1] == "was killed by SIGKILL"
    assert sum(plain.counts(HEADLESS).values()) == 30
    assert plain.lab.logs(name).count("listening on") == restarts + 2, "of both lives"


def test_a_pod_that_hangs_is_no_endpoint_until_it_goes_on(plain: Living) -> None:
    name = plain.ready[-1]
    plain.run(plain.lab.kill(name, signal.SIGSTOP))
    plain.until(lambda: not plain.pods[name].ready, "its readiness to fail")
    assert plain.pods[name].state == "stopped"
    assert "no answer within 1 s" in plain.pods[name].reason
    assert name not in plain.counts(HEADLESS)
    plain.run(plain.lab.kill(name, signal.SIGCONT))
    plain.until(lambda: plain.pods[name].ready, "its readiness")
    assert plain.pods[name].restarts == 0, "it has no liveness probe"
    assert name in plain.counts(HEADLESS)


def test_a_deleted_pod_has_another_one_in_its_place(plain: Living) -> None:
    name = plain.ready[1]
    plain.run(plain.lab.delete(name))
    assert name not in plain.ready
    assert len(plain.ready) == 3
    plain.run(plain.lab.settled())
    assert name not in plain.pods
    assert plain.happened("ending", "gone", to=name) == ["ending", "gone"]
    with pytest.raises(LabError, match=f"no pod '{name}'"):
        plain.run(plain.lab.delete(name))


def test_faults_hold_for_a_pod_and_survive_its_restart(plain: Living) -> None:
    name = fresh(plain)
    failing = {"fail_rate": 1.0, "fail_code": "UNAVAILABLE"}

    def failed() -> dict[str, int]:
        report = plain.run(plain.lab.probe(HEADLESS, EVENLY))
        return {label: b.failed for label, b in report.tally.by_label().items() if b.failed}

    plain.run(plain.lab.fault(name, failing))
    plain.until(lambda: "faults of 1 of 1 pods changed" in plain.lab.logs(name), "its word")
    assert failed() == {name: 10}
    restarts = plain.pods[name].restarts
    plain.run(plain.lab.kill(name, signal.SIGTERM))
    plain.until(lambda: plain.pods[name].restarts > restarts, "its restart")
    plain.until(lambda: plain.pods[name].ready, "its restart", 30)
    assert failed() == {name: 10}
    plain.run(plain.lab.fault(name, None))
    plain.until(lambda: plain.lab.logs(name).count("faults of 1 of 1 pods changed") == 2, "its word")
    assert failed() == {}
    with pytest.raises(UsageError, match="'latency' is no fault"):
        plain.run(plain.lab.fault(name, {"latency": "1s"}))


def test_names_that_are_not_there(plain: Living) -> None:
    with pytest.raises(UsageError, match="no Deployment 'nope'"):
        plain.run(plain.lab.scale("nope", 1))
    with pytest.raises(UsageError, match="-1 replicas"):
        plain.run(plain.lab.scale("echo", -1))
    with pytest.raises(LabError, match="has no sidecar"):
        plain.run(plain.lab.sidecar(plain.ready[0], "/"))


def test_dns_goes_and_comes_back(plain: Living) -> None:
    plain.run(plain.lab.dns(up=False))
    with pytest.raises(TargetError):
        plain.run(plain.lab.probe(HEADLESS, Plan(requests=1, deadline_s=1)))
    plain.run(plain.lab.dns(up=True))
    assert sum(plain.counts(HEADLESS).values()) == 30


def policy(lab: Living) -> str:
    dump = json.loads(lab.run(lab.lab.sidecar("client", "/config_dump?resource=dynamic_active_clusters")))
    (cluster,) = (c["cluster"] for c in dump["configs"])
    return str(cluster.get("lb_policy", "ROUND_ROBIN"))


def test_another_destination_rule_reaches_the_sidecars_and_leaves_pods_alone(meshed: Living) -> None:
    before = meshed.ready
    other = ROUND_ROBIN.replace("simple: ROUND_ROBIN", "simple: RANDOM")
    assert policy(meshed) == "ROUND_ROBIN"
    # Further down in its file, the Deployment is still the same.
    meshed.run(meshed.lab.apply(bundle("# more lines\n\n\n", other, ECHO, service())))
    assert policy(meshed) == "RANDOM"
    meshed.run(meshed.lab.apply(bundle(ECHO, service(), ROUND_ROBIN)))
    assert policy(meshed) == "ROUND_ROBIN"
    assert meshed.ready == before
    assert meshed.counts(MESHED, Plan(requests=30)) == dict.fromkeys(before, 10)


def under_load(lab: Living, client: Client, what: str, *args: object) -> Report:
    """The report of a client that sends all the time while something is done to the lab."""

    async def run() -> Report:
        done = 0

        def tell(now: Progress) -> None:
            nonlocal done
            done = now.done

        plan = Plan(requests=None, duration_s=60, rate=100, concurrency=100, deadline_s=10)
        load = asyncio.create_task(lab.lab.probe(client, plan, progress=tell))
        await eventually(lambda: done, "the first RPC", 30)
        await getattr(lab.lab, what)(*args)
        await lab.lab.settled()
        so_far = done
        await eventually(lambda: done > so_far + 30, "RPCs to those that are there now", 30)
        load.cancel()
        return await load

    return lab.run(run())


def test_a_rolling_restart_behind_sidecars_loses_nothing(meshed: Living) -> None:
    before = meshed.ready
    report = under_load(meshed, MESHED, "restart", "echo")
    assert report.tally.failed == 0, report.evidence.first_error
    assert not set(before) & set(meshed.ready)
    assert len(meshed.ready) == 3
    assert {b.backend.pod for b in report.tally.backends.values()} >= {*before, *meshed.ready}


def test_a_sidecar_that_was_killed_is_started_again(meshed: Living) -> None:
    name = meshed.ready[0]
    restarts, app = meshed.pods[name].restarts, meshed.pod(name).processes["echo"].pid
    first = meshed.lab.fabric.sidecar(meshed.pod(name))
    assert first
    meshed.run(meshed.lab.kill(name, signal.SIGKILL, "istio-proxy"))
    meshed.until(
        lambda: meshed.pods[name].restarts == restarts + 1 and meshed.pods[name].ready, "its restart"
    )
    told = [(e.kind, e.detail) for e in meshed.lab.events if e.what == name][-4:]
    assert told == [
        ("unready", f"The sidecar of pod {name} was killed by SIGKILL."),
        ("died", "its sidecar was killed by SIGKILL"),
        ("restarted", "its sidecar"),
        ("ready", ""),
    ]
    assert meshed.lab.fabric.sidecar(meshed.pod(name)) is not first
    assert meshed.pod(name).processes["echo"].pid == app
    meshed.run(meshed.lab.settled())
    assert name in meshed.counts(MESHED)
    # A second time it has to wait; nobody else does.
    meshed.run(meshed.lab.kill(name, signal.SIGKILL, "istio-proxy"))
    meshed.until(lambda: meshed.pods[name].state == "back-off", "its end")
    assert meshed.pods[name].reason.endswith("SIGKILL; it is started again 10 s later.")
    meshed.run(meshed.lab.settled())
    assert name not in meshed.counts(MESHED)
    meshed.run(meshed.lab.delete(name))
    assert len(meshed.ready) == 3
    with pytest.raises(UsageError, match="no container 'envoy'"):
        meshed.run(meshed.lab.kill(meshed.ready[0], signal.SIGKILL, "envoy"))


def test_a_client_s_sidecar_that_was_killed_is_there_for_the_next_one(meshed: Living) -> None:
    meshed.counts(MESHED)
    (sidecar,) = (p for p, _ in meshed.lab.fabric.proxies if p.title == "sidecar of the client")
    sidecar.signal(signal.SIGKILL)
    meshed.run(asyncio.wait_for(sidecar.exited, 20))
    assert sum(meshed.counts(MESHED).values()) == 30


def test_traffic_goes_on_without_the_control_plane(meshed: Living) -> None:
    meshed.run(meshed.lab.control_plane(up=False))
    counts = meshed.counts(MESHED, Plan(requests=30))
    assert sorted(counts.values()) == [10, 10, 10]
    meshed.run(meshed.lab.control_plane(up=True))
    meshed.run(meshed.lab.scale("echo", 4))
    meshed.run(meshed.lab.settled())
    assert sorted(meshed.counts(MESHED, Plan(requests=40)).values()) == [10] * 4
    meshed.run(meshed.lab.scale("echo", 3))
    meshed.run(meshed.lab.settled())


def test_another_template_is_rolled_out_and_one_that_never_gets_ready_stops_half_way() -> None:
    what = bundle(deployment(probe=QUICK), service("direct", headless=True))
    with living(what, HEADLESS) as lab:
        changed = deployment(probe=QUICK, env='- {name: COLOUR, value: "blue"}')
        lab.run(lab.lab.apply(bundle(changed, service("direct", headless=True))))
        assert lab.ready == ["echo-3", "echo-4", "echo-5"]
        assert lab.lab.workloads.variables(lab.pod("echo-3"))["COLOUR"] == "blue"
        lab.run(lab.lab.settled())
        bad = deployment(probe=QUICK, args="[serve, --nope]")
        with pytest.raises(LabError, match=r"Deployment echo can't be rolled out; 3 of its pods") as error:
            lab.run(lab.lab.apply(bundle(bad, service("direct", headless=True))))
        assert "The pod echo-6 exited with status 2 before it was ready" in error.value.message
        assert "--nope" in error.value.message
        assert len(lab.counts(HEADLESS)) == 3, "those of before go on"
        assert lab.pods["echo-6"].state == "back-off"
        lab.run(lab.lab.apply(bundle(changed, service("direct", headless=True))))
        lab.run(lab.lab.settled())
        assert lab.ready == ["echo-3", "echo-4", "echo-5"], "what was well was left alone"
        assert list(lab.pods) == lab.ready


def test_scaling_to_pods_that_never_run_leaves_the_others_and_says_why() -> None:
    what = bundle(deployment(replicas=1, probe=QUICK), service("direct", headless=True))
    with living(what, HEADLESS) as lab:
        broken = replace(lab.lab.bundle.deployments[0].containers[0], args=("serve", "--nope"))
        found = replace(lab.lab.bundle.deployments[0], containers=(broken,))
        lab.lab.workloads.bundle = replace(lab.lab.bundle, deployments=(found,))
        with pytest.raises(LabError, match="--nope") as error:
            lab.run(lab.lab.scale("echo", 3))
        assert "before it was ready" in error.value.message
        assert "That happened to 2 pods." in error.value.message
        assert lab.ready == ["echo-0"]
        assert {lab.pods[n].state for n in ("echo-1", "echo-2")} == {"back-off"}
        assert "it is started again 10 s later" in lab.pods["echo-1"].reason
        assert lab.counts(HEADLESS) == {"echo-0": 30}


def test_apply_adds_and_removes_workloads() -> None:
    with living(bundle(deployment(replicas=1), service("direct", headless=True)), HEADLESS) as lab:
        other = deployment(name="other", replicas=2)
        lab.run(lab.lab.apply(bundle(deployment(replicas=2), other, service("direct", headless=True))))
        assert lab.ready == ["echo-0", "echo-1", "other-0", "other-1"]
        lab.run(lab.lab.apply(bundle(other, service("direct", headless=True, app="other"))))
        lab.run(lab.lab.settled())
        assert lab.ready == ["other-0", "other-1"]
        assert set(lab.counts(HEADLESS)) == {"other-0", "other-1"}
        before = lab.lab.bundle
        with pytest.raises(UsageError, match="mystery"):
            lab.run(lab.lab.apply(bundle(deployment(image="mystery:1"))))
        assert lab.lab.bundle == before
        assert lab.ready == ["other-0", "other-1"]

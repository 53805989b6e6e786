"""whichpod: which pod answered? Proves how gRPC traffic is spread over the replicas behind a name.

Everything that the command line does, by hand:

    from whichpod import Plan, Target, judged, parse_expectation, run_probe

    report = run_probe(Target("dns:///echo-headless:50051"), Plan(requests=100, policy="round_robin"))
    print(judged(report, parse_expectation("even")).verdict.sentence)

    from whichpod import LoopbackCluster, MatrixOptions, load_scenarios, run_matrix

    matrix = asyncio.run(run_matrix(LoopbackCluster(), load_scenarios(), MatrixOptions()))

    from whichpod import chosen_cells, dynamic_html, load_dynamic, run_dynamic

    cells = chosen_cells(load_dynamic(), ["kill", "scale/istio"], [])
    page = dynamic_html(asyncio.run(run_dynamic(LoopbackCluster(), cells)))

    report = run_bench(Target("echo:50051"), Plan(requests=100_000), addresses=["10.0.0.1:50051"])
    print(report.rps, report.tally.latency.percentile(99))

Names are imported when first used, so `import whichpod` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from whichpod.version import __version__

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.api import Api as KubernetesApi
    from whichpod.cluster.kubernetes.cluster import KubernetesCluster
    from whichpod.cluster.kubernetes.distributed import Load
    from whichpod.cluster.kubernetes.distributed import bench as bench_service
    from whichpod.cluster.kubernetes.errand import probe_service
    from whichpod.cluster.kubernetes.observe import observe as observe_service
    from whichpod.cluster.kubernetes.service import find_service
    from whichpod.cluster.kubernetes.settings import Settings as KubernetesSettings
    from whichpod.cluster.loopback import LoopbackCluster
    from whichpod.cluster.netns import NetnsCluster
    from whichpod.cluster.protocol import Client, Cluster, Lab, LabEvent, LiveCluster, LiveLab, PodInfo, Via
    from whichpod.echo.fast.server import FastServer
    from whichpod.echo.identity import Identity
    from whichpod.echo.server import EchoServer, ServerSettings
    from whichpod.judge import diagnose, judged
    from whichpod.judge import judge as judge_tally
    from whichpod.judge.thresholds import check_thresholds
    from whichpod.load.call import Call, Identify, echo_call
    from whichpod.load.progress import LoadProgress
    from whichpod.load.run import bench as run_bench
    from whichpod.manifest.bundle import Bundle
    from whichpod.manifest.load import load as load_manifests
    from whichpod.model.claims import ClaimResult, Claims, Ruling
    from whichpod.model.dynamic import Cell, Dynamic
    from whichpod.model.errors import (
        ClusterError,
        LabError,
        ManifestError,
        TargetError,
        UsageError,
        WhichpodError,
    )
    from whichpod.model.expectation import Expectation, parse_expectation
    from whichpod.model.histogram import Histogram
    from whichpod.model.plan import Arrivals, Plan
    from whichpod.model.report import Matrix, Report, Row
    from whichpod.model.tally import Observation, Tally
    from whichpod.model.target import Backend, Target, Tls
    from whichpod.model.threshold import Threshold, parse_threshold
    from whichpod.model.timeline import Timeline
    from whichpod.model.verdict import Balance, Diagnosis, Verdict
    from whichpod.probe.endpoints import consecutive, parse_endpoints
    from whichpod.probe.resolve import known_backends
    from whichpod.probe.run import probe as run_probe
    from whichpod.report.bench_csv import bench_csv
    from whichpod.report.bench_markdown import bench_markdown
    from whichpod.report.dynamic_html import dynamic_html
    from whichpod.report.dynamic_junit import dynamic_junit
    from whichpod.report.dynamic_markdown import dynamic_markdown
    from whichpod.report.hgrm import hgrm
    from whichpod.report.junit import matrix_junit
    from whichpod.report.markdown import matrix_markdown
    from whichpod.report.matrix_html import matrix_html
    from whichpod.scenarios.claims.catalogue import CLAIMS
    from whichpod.scenarios.claims.run import run_claims
    from whichpod.scenarios.dynamic.run import DynamicOptions, run_dynamic
    from whichpod.scenarios.dynamic.scenario import chosen_cells
    from whichpod.scenarios.dynamic.scenario import dynamic_scenarios as load_dynamic
    from whichpod.scenarios.run import Options as MatrixOptions
    from whichpod.scenarios.run import run_matrix
    from whichpod.scenarios.scenario import Scenario
    from whichpod.scenarios.scenario import scenarios as load_scenarios

_WHERE = {
    "Arrivals": "model.plan", "Backend": "model.target", "Balance": "model.verdict",
    "Bundle": "manifest.bundle", "CLAIMS": "scenarios.claims.catalogue", "Call": "load.call",
    "Cell": "model.dynamic", "ClaimResult": "model.claims", "Claims": "model.claims",
    "Client": "cluster.protocol", "Cluster": "cluster.protocol", "ClusterError": "model.errors",
    "Diagnosis": "model.verdict", "Dynamic": "model.dynamic", "DynamicOptions": "scenarios.dynamic.run",
    "EchoServer": "echo.server", "Expectation": "model.expectation", "FastServer": "echo.fast.server",
    "Histogram": "model.histogram", "Identify": "load.call", "Identity": "echo.identity",
    "KubernetesApi": "cluster.kubernetes.api:Api", "KubernetesCluster": "cluster.kubernetes.cluster",
    "KubernetesSettings": "cluster.kubernetes.settings:Settings", "Lab": "cluster.protocol",
    "LabError": "model.errors", "LabEvent": "cluster.protocol", "LiveCluster": "cluster.protocol",
    "LiveLab": "cluster.protocol", "Load": "cluster.kubernetes.distributed", "LoadProgress": "load.progress",
    "LoopbackCluster": "cluster.loopback", "ManifestError": "model.errors", "Matrix": "model.report",
    "MatrixOptions": "scenarios.run:Options", "NetnsCluster": "cluster.netns", "Observation": "model.tally",
    "Plan": "model.plan", "PodInfo": "cluster.protocol",
    "Report": "model.report", "Row": "model.report", "Ruling": "model.claims",
    "Scenario": "scenarios.scenario", "ServerSettings": "echo.server", "Tally": "model.tally",
    "Target": "model.target", "TargetError": "model.errors", "Threshold": "model.threshold",
    "Timeline": "model.timeline", "Tls": "model.target", "UsageError": "model.errors",
    "Verdict": "model.verdict", "Via": "cluster.protocol", "WhichpodError": "model.errors",
    "bench_csv": "report.bench_csv",
    "bench_markdown": "report.bench_markdown", "bench_service": "cluster.kubernetes.distributed:bench",
    "check_thresholds": "judge.thresholds", "chosen_cells": "scenarios.dynamic.scenario",
    "consecutive": "probe.endpoints", "diagnose": "judge", "dynamic_html": "report.dynamic_html",
    "dynamic_junit": "report.dynamic_junit", "dynamic_markdown": "report.dynamic_markdown",
    "echo_call": "load.call", "find_service": "cluster.kubernetes.service", "hgrm": "report.hgrm",
    "judge_tally": "judge:judge", "judged": "judge", "known_backends": "probe.resolve",
    "load_dynamic": "scenarios.dynamic.scenario:dynamic_scenarios", "load_manifests": "manifest.load:load",
    "load_scenarios": "scenarios.scenario:scenarios", "matrix_html": "report.matrix_html",
    "matrix_junit": "report.junit", "matrix_markdown": "report.markdown",
    "observe_service": "cluster.kubernetes.observe:observe", "parse_endpoints": "probe.endpoints",
    "parse_expectation": "model.expectation", "parse_threshold": "model.threshold",
    "probe_service": "cluster.kubernetes.errand", "run_bench": "load.run:bench",
    "run_claims": "scenarios.claims.run", "run_dynamic": "scenarios.dynamic.run",
    "run_matrix": "scenarios.run", "run_probe": "probe.run:probe",
}  # fmt: skip

__all__ = [
    "CLAIMS",
    "Arrivals",
    "Backend",
    "Balance",
    "Bundle",
    "Call",
    "Cell",
    "ClaimResult",
    "Claims",
    "Client",
    "Cluster",
    "ClusterError",
    "Diagnosis",
    "Dynamic",
    "DynamicOptions",
    "EchoServer",
    "Expectation",
    "FastServer",
    "Histogram",
    "Identify",
    "Identity",
    "KubernetesApi",
    "KubernetesCluster",
    "KubernetesSettings",
    "Lab",
    "LabError",
    "LabEvent",
    "LiveCluster",
    "LiveLab",
    "Load",
    "LoadProgress",
    "LoopbackCluster",
    "ManifestError",
    "Matrix",
    "MatrixOptions",
    "NetnsCluster",
    "Observation",
    "Plan",
    "PodInfo",
    "Report",
    "Row",
    "Ruling",
    "Scenario",
    "ServerSettings",
    "Tally",
    "Target",
    "TargetError",
    "Threshold",
    "Timeline",
    "Tls",
    "UsageError",
    "Verdict",
    "Via",
    "WhichpodError",
    "__version__",
    "bench_csv",
    "bench_markdown",
    "bench_service",
    "check_thresholds",
    "chosen_cells",
    "consecutive",
    "diagnose",
    "dynamic_html",
    "dynamic_junit",
    "dynamic_markdown",
    "echo_call",
    "find_service",
    "hgrm",
    "judge_tally",
    "judged",
    "known_backends",
    "load_dynamic",
    "load_manifests",
    "load_scenarios",
    "matrix_html",
    "matrix_junit",
    "matrix_markdown",
    "observe_service",
    "parse_endpoints",
    "parse_expectation",
    "parse_threshold",
    "probe_service",
    "run_bench",
    "run_claims",
    "run_dynamic",
    "run_matrix",
    "run_probe",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'whichpod' has no attribute {name!r}")
    module, _, attribute = where.partition(":")
    value = getattr(importlib.import_module(f"whichpod.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

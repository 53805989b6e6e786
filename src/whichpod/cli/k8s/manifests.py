"""`whichpod k8s manifests`: a row's YAML, for kubectl."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from whichpod.cli.k8s.options import Image, Namespace, PullPolicy
from whichpod.cli.main import typer_main
from whichpod.cli.options import Expected, Json, expectation_of
from whichpod.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.rehome import Document
    from whichpod.model.expectation import Expectation
    from whichpod.scenarios.scenario import Scenario

_EPILOG = """Examples:

whichpod k8s manifests clusterip --image registry.example/whichpod:1 | kubectl apply -f -

whichpod k8s manifests istio --namespace trial --pods 10 > istio.yaml

whichpod k8s manifests --no-istio > rows.yaml

The output says how to start the client and to read its result. The guide's set-ups, without Istio and with
it, are kustomize folders: kubectl apply -k deploy/with-istio"""

_RESUME = '{"spec":{"suspend":false}}'


def main(argv: list[str]) -> int:
    """Runs the command."""
    return typer_main("k8s manifests", manifests, argv, epilog=_EPILOG)


def manifests(
    row: Annotated[str, typer.Argument(help="Whose, or a glob [default: all]: whichpod matrix --list")] = "",
    *,
    image: Image = "",
    pull_policy: PullPolicy = "",
    namespace: Namespace = "",
    pods: Annotated[int | None, typer.Option(help="Pods behind the Service [default: 5].")] = None,
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", help="Requests [default: 50, or 10 per pod].")
    ] = None,
    no_istio: Annotated[
        bool, typer.Option("--no-istio", help="The cluster has none: leave out what is for it.")
    ] = False,
    revision: Annotated[str, typer.Option(help="Istio's revision, where there is no default one.")] = "",
    gateway_class: Annotated[
        str, typer.Option(help="GatewayClass of rows with a gateway [default: istio].")
    ] = "",
    cluster_dns: Annotated[
        str, typer.Option(help="The cluster's DNS server, for edge proxies [default: 10.96.0.10].")
    ] = "",
    read: Annotated[
        bool, typer.Option("--read", help="Read a client's log on stdin and show its report instead.")
    ] = False,
    expect: Expected = "",
    json: Json = False,
) -> int:
    """Print a row's YAML with the Job that runs its client, so that kubectl is all that is needed."""
    for option, value in (("--pods", pods), ("--requests", requests)):
        if value is not None and value < 1:
            raise UsageError(f"{option} {value} makes no sense.", fix="It takes a number above zero.")
    if read:
        return _read(expectation_of(expect, 0.05, 0.99, refused=True), json)
    from whichpod.cluster.kubernetes.printed import as_yaml, printed
    from whichpod.cluster.kubernetes.settings import Settings, default_image
    from whichpod.scenarios.scenario import scenarios, selected

    rows = selected(scenarios(), [row] if row else [], [])
    if len(rows) > 1 and namespace:
        raise UsageError("Several rows don't fit into one namespace.", fix="Leave --namespace out.")
    texts, objects = [], []
    for chosen in rows:
        own = namespace or f"whichpod-{chosen.name}"
        try:
            documents = printed(
                chosen.bundle(pods),
                chosen.client,
                chosen.plan_for(pods, requests),
                Settings(
                    image or default_image(),
                    pull_policy,
                    own,
                    run=chosen.name,
                    gateway_class=gateway_class or "istio",
                ).checked(),
                istio=not no_istio,
                revision=revision,
                cluster_dns=cluster_dns,
            )
        except UsageError:
            if no_istio and len(rows) > 1:
                continue  # of several rows, those that need it are left out
            raise
        objects += documents
        texts.append(_head(chosen, documents) + as_yaml(documents))
    if not texts:
        raise UsageError(f"--no-istio leaves no row of {row!r}.", fix="All of them need Istio.")
    if json:
        import json as format

        print(format.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2))
    else:
        print("---\n".join(texts), end="")
    return ExitCode.OK


def _head(chosen: Scenario, documents: list[Document]) -> str:
    namespace = documents[0]["metadata"]["name"]
    lines = [f"{chosen.title}; expected: {chosen.expectation}."]
    if documents[-1]["kind"] == "Job":
        lines += [
            "Once applied, wait until the pods are ready, start the client, and read its result:",
            f"  kubectl wait -n {namespace} deployment --all --for=condition=Available --timeout=180s",
            f"  kubectl patch -n {namespace} job client -p '{_RESUME}'",
            f"  kubectl wait -n {namespace} job/client --for=condition=Complete --timeout=600s",
            f"  kubectl logs -n {namespace} job/client -c client | whichpod k8s manifests --read"
            f" --expect {chosen.expectation}",
        ]
    else:
        via = "the gateway" if chosen.client.gateway else f"pods (via {chosen.client.via})"
        lines.append(f"Its client dials {via}, whose address nobody knows ahead, so no Job is here.")
    lines.append(f"Remove it: kubectl delete namespace {namespace}")
    return "".join(f"# {line}\n" for line in lines)


def _read(expectation: Expectation | None, as_json: bool) -> int:
    from whichpod.cli.probe import finish
    from whichpod.cluster.kubernetes.result import read_result

    return finish(read_result(sys.stdin), expectation, as_json)

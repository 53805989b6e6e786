"""A row as YAML for kubectl, with the Job that runs its client: nothing but kubectl is needed then."""

from __future__ import annotations

from collections.abc import Iterable

from whichpod.cluster.kubernetes.address import address_of
from whichpod.cluster.kubernetes.dress import IMAGE, dress, namespace_document
from whichpod.cluster.kubernetes.harden import pod_security
from whichpod.cluster.kubernetes.jobs import GRACE_S, client_job
from whichpod.cluster.kubernetes.lab import longest_s
from whichpod.cluster.kubernetes.names import INJECT
from whichpod.cluster.kubernetes.rehome import Document
from whichpod.cluster.kubernetes.settings import READY_S, Settings
from whichpod.cluster.kubernetes.task import Task
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.documents import documents
from whichpod.model.errors import UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target

JOB = "client"


def printed(
    bundle: Bundle,
    client: Client,
    plan: Plan,
    settings: Settings,
    *,
    istio: bool,
    revision: str = "",
    cluster_dns: str = "",
) -> list[Document]:
    """The objects, in the order of application: the namespace, what the row is made of, its client's Job.

    The Job is suspended: kubectl resumes it once the pods are ready. There is none where the client dials
    pods or a gateway, whose addresses nobody knows ahead, or comes from outside by port-forward. Sidecars are
    told to hold their pods and to end with the Job, which native ones don't mind.

    Raises UsageError for what needs Istio, with `istio` false.
    """
    meshed = client.meshed or client.via is Via.XDS
    if not istio and (meshed or any(bundle.injected(d) for d in bundle.deployments)):
        raise UsageError("This row needs Istio's sidecars.", fix="Leave --no-istio out.")
    namespace = settings.namespace or f"whichpod-{settings.run}"
    found = dress(
        documents(bundle),
        run=settings.run,
        namespace=namespace,
        image=settings.image,
        pull_policy=settings.pull_policy,
        istio=istio,
        revision=revision,
        cluster_dns=cluster_dns,
        gateway_class=settings.gateway_class,
    )
    if not client.gateway and client.via in (Via.DNS, Via.XDS):
        found.append(_job(bundle, client, plan, settings, namespace, istio, revision))
    level = pod_security(found, istio_init=True)
    return [namespace_document(namespace, run=settings.run, level=level), *found]


def as_yaml(found: Iterable[Document]) -> str:
    """The objects as a stream of YAML documents."""
    import yaml

    return "---\n".join(yaml.safe_dump(d, sort_keys=False, width=110, allow_unicode=True) for d in found)


def _job(
    bundle: Bundle,
    client: Client,
    plan: Plan,
    settings: Settings,
    namespace: str,
    istio: bool,
    revision: str,
) -> Document:
    longest = longest_s(plan)
    # Which pods there will be nobody knows, but how many.
    behind = bundle.behind(bundle.service(client.backends or client.service))
    count = sum(d.replicas for d in behind if any(c.image == IMAGE for c in d.containers))
    target = Target(address_of(client, bundle, namespace), known_count=count)
    task = Task("probe", target, plan, limit_s=longest)
    job = client_job(
        settings.run,
        JOB,
        namespace,
        settings.image,
        meshed=client.meshed,
        proxyless=client.via is Via.XDS,
        revision=revision,
        deadline_s=longest + READY_S + GRACE_S,
        pull_policy=settings.pull_policy,
        env=task.env(),
    )
    # kubectl applies everything at once, and a client has to wait until the pods are ready.
    job["spec"]["suspend"] = True
    if not istio:
        del job["spec"]["template"]["metadata"]["labels"][INJECT]
    return job

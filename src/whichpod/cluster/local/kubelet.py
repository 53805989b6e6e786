"""What a kubelet does to single containers: starts them, probes them, runs commands in them."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whichpod.cluster.local import listening, readiness
from whichpod.cluster.local.expand import environment, expand
from whichpod.cluster.local.fabric import Fabric
from whichpod.cluster.local.files import Files
from whichpod.cluster.local.images import image_of
from whichpod.cluster.local.images.base import Context, base_environment, localise
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.programs import service_variables
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, ExecCheck

_PROBES_PER_S = 200.0
"""Each costs half a millisecond here, where a cluster's nodes share them: with a thousand pods that are to be
probed every second it is every five seconds."""


class Pace:
    """Lets so many pass per second, in the order in which they come."""

    def __init__(self, per_s: float) -> None:
        self._apart_s = 1 / per_s
        self._next = 0.0

    async def turn(self) -> None:
        """Waits for one's turn; not at all where few come."""
        now = asyncio.get_running_loop().time()
        self._next = max(now, self._next + self._apart_s)
        if self._next > now:
            await asyncio.sleep(self._next - now)


@dataclass(frozen=True, slots=True)
class Kubelet:
    """Does to containers what is asked for, once."""

    supervisor: Supervisor
    fabric: Fabric
    timeout_s: float
    """How long a pod may take to get ready."""
    pace: Pace = field(default_factory=lambda: Pace(_PROBES_PER_S))
    """Of probes that are repeated for as long as a pod lives."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def start(self, pod: Pod, container: Container, bundle: Bundle) -> Process:
        """Starts a container, or starts it anew. Raises ManifestError for files that aren't there."""
        image = image_of(container)
        env, files = self.variables(pod, container, bundle), self._files(pod, container)
        files.mount(bundle, pod.deployment, container, lambda path: pod.field(path, self.fabric.host_ip))
        process = image.launch(
            Context(
                supervisor=self.supervisor,
                pod=pod.name,
                slug=pod.slug,
                container=container,
                address=pod.place.app_address,
                env=env,
                command=tuple(expand(word, env) for word in container.command),
                args=tuple(expand(word, env) for word in container.args),
                files=files,
                dns=self.fabric.dns,
                alone=len(pod.deployment.containers) + len(pod.init_containers) == 1,
                life=sum(name == container.name for name, _ in pod.history),
                standing=self.fabric.standing(pod),
            )
        )
        pod.processes[container.name] = process
        pod.history.append((container.name, process))
        return process

    def variables(self, pod: Pod, container: Container, bundle: Bundle) -> dict[str, str]:
        """A container's environment, as its manifest and the cluster have it."""
        host, _, port = self.fabric.dns.rpartition(":")
        given = {"CLUSTER_DNS": self.fabric.dns, "CLUSTER_DNS_HOST": host, "CLUSTER_DNS_PORT": port}
        known: dict[str, str] = {}
        if image_of(container).dials:
            # kubernetes.io, Discovering services: those of the pod's namespace that have a ClusterIP.
            for service in bundle.services:
                own = service.meta.namespace == pod.deployment.meta.namespace
                if own and service.ports and not service.headless:
                    known |= service_variables(service, self.fabric.cluster_ip(service))
        return environment(
            container.env, lambda path: pod.field(path, self.fabric.host_ip), given, known=known
        )

    def _files(self, pod: Pod, container: Container) -> Files:
        return Files(self.folder(pod, container), image_of(container).own, container)

    def folder(self, pod: Pod, container: Container) -> Path:
        """Where a container's files lie."""
        return self.supervisor.folder / "pods" / pod.slug / container.name

    async def attempt(
        self, pod: Pod, container: Container, check: readiness.Check, bundle: Bundle, timeout_s: float
    ) -> None:
        """One attempt of a probe. Raises NotReadyError."""
        if not isinstance(check, ExecCheck):
            ports = pod.deployment.ports()
            await readiness.attempt(check, pod.place.dialled, ports, timeout_s, self.fabric.connect)
            return
        code, said = await self.command(pod, container, check.command, bundle, timeout_s)
        if code is None:
            raise readiness.NotReadyError(f"no answer within {timeout_s:g} s")
        if code:
            raise readiness.NotReadyError(f"it exited with status {code}" + (f": {said}" if said else ""))

    async def command(
        self, pod: Pod, container: Container, argv: Sequence[str], bundle: Bundle, timeout_s: float
    ) -> tuple[int | None, str]:
        """Runs a command of a probe or a hook in the pod's network; returns its exit status, None where it
        did not end in time, and what it wrote last.

        Its program is looked for on this machine: by its path, then by its name.
        """
        # With a slash in it, `which` looks for that very file.
        program = shutil.which(argv[0]) or shutil.which(Path(argv[0]).name)
        if not program:
            return 127, f"there is no program {argv[0]!r} on this machine"
        env, files = self.variables(pod, container, bundle), self._files(pod, container)
        words = [localise(files.rewrite(expand(w, env)), pod.place.app_address) for w in argv[1:]]
        process = self.supervisor.exec(
            f"{pod.slug}.{container.name}.command-{next(self._numbers)}",
            [program, *words],
            title=f"command {argv[0]} of pod {pod.name}",
            env={**base_environment(files.root), **env},
            cwd=files.root,
            network=self.fabric.standing(pod).network,
        )
        try:
            await asyncio.wait({process.exited}, timeout=timeout_s)
            code = process.exited.result() if process.exited.done() else None
            return code, process.last_lines(1)
        finally:
            process.signal(9, all_of_it=True)
            process.log.unlink(missing_ok=True)

    def hint(self, pod: Pod, container: Container) -> str:
        """What may keep a program of the user's from being reached; empty where nothing is known to."""
        process, own = pod.processes.get(container.name), pod.place.app_address
        if not (container.local and own and process and process.pid):
            return ""
        heard = ""
        if not process.exited.done():
            heard = f"It listens on {', '.join(listening.addresses(process.pid)) or 'no port'}. "
        return (
            f"{heard}All pods of a loopback lab share the machine's network, so a program has to listen on "
            f"its pod's address, here {own}: $POD_IP, or {{ip}} in --run."
        )

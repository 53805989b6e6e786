"""The files that a container sees: its volumes, laid out under a folder of the lab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, Deployment, VolumeMount
from whichpod.manifest.volumes import content


class Files:
    """A container's file system as far as the manifest and the image define it.

    There is no chroot without privileges: a path of the container lies under `root`, and texts that name
    such paths (arguments, configuration files) are rewritten.
    """

    def __init__(self, root: Path, own: Iterable[str], container: Container) -> None:
        """`own`: absolute folders of the image itself that configurations may name."""
        self.root = root
        folders = {*own, *(m.path.rstrip("/") for m in container.mounts)}
        listed = "|".join(re.escape(f) for f in sorted(folders, key=len, reverse=True) if f)
        self._paths = re.compile(rf"(?<![\w./-])(?:{listed})(?=[/\s\"'`;,:)}}\]]|$)") if listed else None
        root.mkdir(parents=True, exist_ok=True)
        for folder in own:
            self.real(folder).mkdir(parents=True, exist_ok=True)

    def real(self, path: str) -> Path:
        """Where a path of the container lies."""
        return self.root / path.lstrip("/")

    def rewrite(self, text: str) -> str:
        """`text` with the container's paths as real ones."""
        return self._paths.sub(lambda m: f"{self.root}{m[0]}", text) if self._paths else text

    def write(self, path: str, text: str) -> Path:
        """Writes a file of the container, paths in it rewritten; returns where it lies."""
        file = self.real(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.rewrite(text), encoding="utf-8", errors="surrogateescape")
        return file

    def mount(
        self, bundle: Bundle, deployment: Deployment, container: Container, field: Callable[[str], str]
    ) -> None:
        """Lays out the container's volumes. `field` gives the value of one of the pod's fields.

        Raises ManifestError for files that a ConfigMap or Secret lacks.
        """
        volumes = {v.name: v for v in deployment.volumes}
        for mount in container.mounts:
            self._lay_out(mount, content(bundle, deployment, volumes[mount.name], field), container)

    def _lay_out(self, mount: VolumeMount, content: Mapping[str, str], container: Container) -> None:
        if not mount.sub_path:
            self.real(mount.path).mkdir(parents=True, exist_ok=True)
            for name, text in content.items():
                self.write(f"{mount.path}/{name}", text)
        elif mount.sub_path in content:
            self.write(mount.path, content[mount.sub_path])
        else:
            raise container.where.error(
                f"The container {container.name} mounts {mount.sub_path!r} of the volume {mount.name!r}, "
                "which has no such file."
            )

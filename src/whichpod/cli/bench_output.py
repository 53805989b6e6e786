"""Where `whichpod bench` puts its report: the terminal, single files, a folder of them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from whichpod.cli.reports import check_folder, write_all, write_file
from whichpod.model.errors import UsageError
from whichpod.model.report import Report

STDOUT = "-"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the options ask for."""

    json: bool = False
    folder: Path | None = None
    files: dict[str, str] = field(default_factory=dict)
    """File, or "-" for stdout, by kind: csv, hgrm, markdown."""

    def check(self) -> None:
        """Raises UsageError, before anything starts, for what can't be written."""
        check_folder(self.folder)
        owners = [f"--{kind} -" for kind, name in self.files.items() if name == STDOUT]
        owners += ["--json"] * self.json
        if len(owners) > 1:
            raise UsageError(
                f"{' and '.join(owners)} would be mixed on stdout.", fix="Give all but one of them a file."
            )
        for kind, name in self.files.items():
            path = Path(name)
            if name == STDOUT:
                continue
            if path.is_dir():
                raise UsageError(f"--{kind} {name} is a folder.", fix="Name a file, or - for stdout.")
            where = path if path.exists() else path.parent
            if not os.access(where, os.W_OK):
                why = "there is no such folder" if not where.exists() else "permission denied"
                raise UsageError(f"--{kind} {name} can't be written: {why}.", fix="Name another file.")

    def write(self, report: Report) -> None:
        """Prints and writes everything. Raises OutputError, after the printing, for a file that fails."""
        self._print(report)
        sys.stdout.flush()
        for kind, name in self.files.items():
            if name != STDOUT:
                write_file(Path(name), _RENDERERS[kind](report))
        if self.folder:
            write_all(self.folder, _files(report))

    def _print(self, report: Report) -> None:
        kind = next((kind for kind, name in self.files.items() if name == STDOUT), None)
        if self.json:
            print(report.to_text())
        elif kind:
            print(_RENDERERS[kind](report), end="")
        else:
            from whichpod.report.bench_terminal import print_bench
            from whichpod.report.console import out

            print_bench(out(), report)


def _csv(report: Report) -> str:
    from whichpod.report.bench_csv import bench_csv

    return bench_csv(report)


def _markdown(report: Report) -> str:
    from whichpod.report.bench_markdown import bench_markdown

    return bench_markdown(report)


def _hgrm(report: Report) -> str:
    from whichpod.report.hgrm import hgrm

    return hgrm(report.tally.latency)


_RENDERERS: dict[str, Callable[[Report], str]] = {"csv": _csv, "hgrm": _hgrm, "markdown": _markdown}


def _files(report: Report) -> dict[str, str]:
    from whichpod.report.hgrm import hgrm

    files = {"bench.json": report.to_text() + "\n", "bench.md": _markdown(report), "bench.csv": _csv(report)}
    logs = {"latency": report.tally.latency}
    if report.plan.open_loop:
        logs["service"] = report.tally.service
    for label, entry in sorted(report.tally.by_label().items()):
        # Names come over the wire: they must not lead out of the folder, nor be the same file.
        name = "servers/" + (_UNSAFE.sub("_", label).lstrip(".")[:80] or "_")
        while name.lower() in map(str.lower, logs):
            name += "_"
        logs[name] = entry.latency
    return files | {f"{name}.hgrm": hgrm(log) for name, log in logs.items() if log.count}

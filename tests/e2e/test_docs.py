"""What the documentation shows: its Python runs, its links lead somewhere, its rows are those that exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.kubernetes.standin.fixture import IMAGE, cluster
from tests.servers import echoes
from whichpod.cli.lab import COMMANDS as LAB_COMMANDS
from whichpod.cli.main import run
from whichpod.scenarios.scenario import BUILT_IN, scenarios

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)


def block(part: str) -> str:
    return next(b for b in BLOCKS if part in b)


def test_the_python_of_the_docs_compiles() -> None:
    assert len(BLOCKS) == 8
    for text in BLOCKS:
        compile(text, "docs/python.md", "exec")


@pytest.mark.parametrize(("part", "said"), [(".lab(", "'echo-4': 10"), (".live(", "('fault', 'echo-2')")])
def test_a_lab_of_ones_own(
    part: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "manifests").mkdir()
    for name in ("echo.yaml", "service-headless.yaml"):
        shutil.copy(BUILT_IN / "base" / name, tmp_path / "manifests")
    monkeypatch.chdir(tmp_path)
    exec(compile(block(part), "docs/python.md", "exec"), {})
    assert said in capsys.readouterr().out


def test_a_matrix_in_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = block("KubernetesCluster").replace("registry.example/whichpod:1", IMAGE)
    text = text.replace("kind-kind", "stand-in").replace("load_scenarios()", "load_scenarios()[2:3]")
    with cluster(tmp_path, istio=False) as here:
        monkeypatch.setenv("KUBECONFIG", str(here.kubeconfig))
        exec(compile(text, "docs/python.md", "exec"), {})
    assert capsys.readouterr().out.startswith("{'passed': 1")


def test_load_with_conditions(capsys: pytest.CaptureFixture[str]) -> None:
    with echoes(2) as servers:
        text = block("run_bench")
        for i, server in enumerate(servers, 1):
            text = text.replace(f"10.0.0.{i}:50051", f"127.0.0.1:{server.port}")
        text = text.replace("duration_s=10, rate=2000", "duration_s=0.5, rate=200").replace("_s=1)", "_s=0)")
        exec(compile(text, "docs/python.md", "exec"), {})
    assert "ThresholdResult(text='p99>50ms'" in capsys.readouterr().out


def test_an_echo_server_in_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("EchoServer"), "docs/python.md", "exec"), {})
    assert int(capsys.readouterr().out) > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_each_row_has_its_page_and_the_index_names_it() -> None:
    index = (ROOT / "docs" / "configurations" / "README.md").read_text()
    pages = {p.stem for p in (ROOT / "docs" / "configurations").glob("*.md")} - {"README"}
    assert pages == {s.name for s in scenarios()}
    assert all(f"[{name}]({name}.md)" in index for name in pages)


@pytest.mark.parametrize("command", ["bench", "matrix", "probe"])
def test_options_that_the_docs_name_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([command, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    text = (ROOT / "docs" / f"{command}.md").read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known | {"--report"}


OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def test_the_commands_of_a_lab_and_their_options_are_those_that_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Code spans of the table's first column are commands, whose options its second one may name."""
    text = (ROOT / "docs" / "lab.md").read_text()
    used: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (`.*) \|$", text, re.MULTILINE):
        first, second = re.split(r"(?<!\\) \| ", row)
        named = [span.split()[0] for span in re.findall(r"`([^`]+)`", first)]
        used |= {name: used.get(name, set()) for name in named}
        for span in re.findall(r"`([^`]+)`", first):
            used[span.split()[0]] |= set(OPTION.findall(span))
        besides = set(OPTION.findall(second))
        known = set().union(*(_options(name, capsys) for name in named))
        assert besides <= known, named
    assert set(used) == set(LAB_COMMANDS)
    for command, rest in re.findall(r"whichpod lab ([a-z-]+)([^`\n]*)", text):
        used[command] |= set(OPTION.findall(rest.partition(" -- ")[0].partition("'")[0]))
    for command, options in used.items():
        assert options <= _options(command, capsys), command


def _options(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    run(["lab", command, "--help"])
    return set(OPTION.findall(capsys.readouterr().out))

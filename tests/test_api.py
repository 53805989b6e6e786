"""The curated API: every name is there, and importing the package costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import whichpod


@pytest.mark.parametrize("name", whichpod.__all__)
def test_every_name_can_be_had(name: str) -> None:
    assert getattr(whichpod, name)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = whichpod.nope


def test_importing_imports_nothing_heavy() -> None:
    code = "import sys, whichpod; assert not {'grpc', 'rich', 'typer', 'yaml', 'envoy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

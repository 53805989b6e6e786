from __future__ import annotations

import ipaddress
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.cluster.loopback import addresses
from whichpod.cluster.loopback.addresses import FIRST_BLOCK, LAST_BLOCK, MOST, Block
from whichpod.model.errors import LabError


def test_blocks_differ_while_they_are_claimed() -> None:
    with Block.claim() as one, Block.claim() as two:
        assert one.number != two.number
        assert FIRST_BLOCK <= one.number <= LAST_BLOCK


def only(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> None:
    """Leaves few blocks to choose from, so that other labs on the machine are not disturbed."""
    monkeypatch.setattr(addresses, "FIRST_BLOCK", first)
    monkeypatch.setattr(addresses, "LAST_BLOCK", last)


def test_a_block_is_claimed_once_and_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Block.claim() as block:
        only(monkeypatch, block.number, block.number)
        with pytest.raises(LabError, match="address blocks"):
            Block.claim()
    Block.claim().close()


def test_a_claim_ends_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from whichpod.cluster.loopback.addresses import Block; print(Block.claim().number, flush=True)"
    number = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    only(monkeypatch, number, number)
    Block.claim().close()


@given(st.integers(0, MOST - 1), st.integers(0, MOST - 1))
def test_addresses_are_valid_and_never_meet(n: int, other: int) -> None:
    with Block.claim() as block:
        ranges = (block.pod, block.private, block.cluster_ip, block.sidecar_listener)
        found = {f(n) for f in ranges} | {f(other) for f in ranges}
        assert len(found) == (4 if n == other else 8)
        net = ipaddress.ip_network(f"127.{block.number}.0.0/16")
        for text in found:
            address = ipaddress.ip_address(text)
            assert address in net
            assert 0 < int(address) & 0xFF < 255
            assert str(address).split(".")[2] != "0", "the lab's own"


def test_there_is_an_end_to_them() -> None:
    with Block.claim() as block, pytest.raises(LabError, match="room for"):
        block.pod(MOST)

"""Addresses of a lab: a /16 of 127/8 that no other lab on the machine uses.

The plan of 127.R.0.0/16 (R is the lab's number):

| addresses | whose |
|---|---|
| 127.R.0.x | the lab's own: DNS, control plane, the client's sidecar, kube-proxy |
| 127.R.1.1 to 127.R.63.250 | pods |
| 127.R.65.1 to 127.R.127.250 | the same pods' private addresses: "localhost" inside a pod with a sidecar |
| 127.R.128.1 to 127.R.190.250 | ClusterIPs |
| 127.R.192.1 to 127.R.254.250 | the listeners of the client's sidecar, one address per Service |
"""

from __future__ import annotations

import errno
import random
import socket
from types import TracebackType

from whichpod.model.errors import LabError

FIRST_BLOCK, LAST_BLOCK = 2, 254
"""127.0 and 127.1 are left alone: 127.0.0.1, 127.0.0.53 and 127.0.1.1 are in use on most machines."""
PER_OCTET = 250
MOST = 63 * PER_OCTET
"""Addresses in each of the plan's ranges."""


class Block:
    """A /16 of 127/8, claimed for as long as this object is open.

    The claim is an abstract Unix socket: it holds across processes and users of the machine's network
    namespace, and the kernel drops it with the process, however that ends.
    """

    def __init__(self, number: int, claim: socket.socket) -> None:
        self.number = number
        self._claim = claim

    @classmethod
    def claim(cls) -> Block:
        """Takes a free block. Raises LabError when every one is taken."""
        numbers = list(range(FIRST_BLOCK, LAST_BLOCK + 1))
        random.shuffle(numbers)
        for number in numbers:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0whichpod-lab-127.{number}")
            except OSError as e:
                claim.close()
                if e.errno == errno.EADDRINUSE:
                    continue
                raise LabError(f"No addresses could be claimed for the lab: {e.strerror}.") from None
            return cls(number, claim)
        raise LabError(
            f"All {len(numbers)} address blocks of 127/8 are in use by other labs.",
            fix="Let one of them end first.",
        )

    def own(self, n: int) -> str:
        """The lab's own address number `n`, 1 to 250."""
        return self._address(0, n - 1)

    def pod(self, n: int) -> str:
        """The IP of pod `n`, from 0."""
        return self._address(1, n)

    def private(self, n: int) -> str:
        """What stands for the localhost of pod `n`, from 0."""
        return self._address(65, n)

    def cluster_ip(self, n: int) -> str:
        """The ClusterIP of Service `n`, from 0."""
        return self._address(128, n)

    def sidecar_listener(self, n: int) -> str:
        """Where the client's sidecar listens for Service `n`, from 0."""
        return self._address(192, n)

    def _address(self, octet: int, n: int) -> str:
        if not 0 <= n < MOST:
            raise LabError(f"A loopback lab has room for {MOST} pods or Services, not for number {n + 1}.")
        return f"127.{self.number}.{octet + n // PER_OCTET}.{n % PER_OCTET + 1}"

    def close(self) -> None:
        """Gives the block back."""
        self._claim.close()

    def __enter__(self) -> Block:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

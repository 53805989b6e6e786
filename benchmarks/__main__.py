"""What the load engine and the fast server cost, against their peers, in one run: `make bench`.

    python -m benchmarks [--rounds N] [--requests N] [--quick] [--only NAME]...

Every comparison is interleaved: round 1 of each side, then round 2. Printed are CPU us per RPC, and ratios of
the medians with the range of the rounds' own ratios. What a machine lacks is skipped and named.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import clients, memory, proxied, scale, servers
from benchmarks.measure import Settings, machine

CASES = {
    "clients": clients.run,
    "servers": servers.run,
    "scale": scale.run,
    "memory": memory.run,
    "proxied": proxied.run,
}


def main() -> int:
    """Runs and prints; 1 where a figure is past what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=300_000, help="RPCs per round of a fast client")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", action="append", choices=list(CASES), help="may be repeated")
    given = parser.parse_args()
    settings = Settings(given.rounds, given.requests)
    if given.quick:
        settings = Settings(min(3, given.rounds), min(60_000, given.requests))
    print(machine())
    met = True
    for name in given.only or CASES:
        print(f"\n== {name}", flush=True)
        met &= CASES[name](settings)
    print()
    print(
        "All that is asked for was met." if met else "Something that is asked for was not met: see FAR above."
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

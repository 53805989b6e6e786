"""What an engine counted, as a tally that crosses processes."""

from __future__ import annotations

import resource
import sys

from whichpod.load.engine import NEVER, Engine
from whichpod.model.report import WorkerLoad
from whichpod.model.tally import OK, BackendTally, Tally


def tally_of(engine: Engine) -> Tally:
    """All that was counted so far. RPCs that haven't ended are in flight."""
    tally = Tally(warmup=engine.warm, dropped=engine.dropped, statuses=dict(engine.statuses))
    for line in engine.lines:
        for cell in line.cells.values():
            if not cell.done and not cell.failed:
                continue
            latency = cell.latency()
            service = cell.service or latency
            tally.latency.merge(latency)
            tally.service.merge(service)
            tally.done += cell.done
            if cell.backend is None:
                tally.unattributed += cell.done
                continue
            mine = BackendTally(
                cell.backend,
                done=cell.done,
                failed=cell.failed,
                messages=cell.done,
                first_ns=cell.first - engine.began,
                last_ns=cell.last - engine.began,
                latency=latency,
                service=service,
            )
            known = tally.backends.get(cell.backend.id)
            if known is None:
                # Merged into an empty one: the histograms are to be its own.
                known = tally.backends[cell.backend.id] = BackendTally(
                    cell.backend, first_ns=mine.first_ns, last_ns=mine.last_ns
                )
            known.merge(mine)
            if cell.done:
                channel = tally.channels.setdefault(line.index, {})
                channel[cell.backend.id] = channel.get(cell.backend.id, 0) + cell.done
    if tally.done:
        tally.statuses[OK] = tally.done
    tally.failed = engine.failures
    tally.scheduled = engine.scheduled
    tally.in_flight = max(0, tally.scheduled - tally.done - tally.failed - tally.dropped)
    return tally


def _peak_rss() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes (getrusage(2)).
    return peak if sys.platform == "darwin" else peak * 1024


def load_of(engine: Engine) -> WorkerLoad:
    """How busy the process was."""
    if engine.began == NEVER:
        return WorkerLoad()
    wall_s = max(1, (engine.ended or engine.began) - engine.began) / 1e9
    return WorkerLoad(
        rpcs=engine.done + engine.failures,
        cpu_s=engine.cpu_s,
        cpu_share=engine.cpu_s / wall_s,
        lag_p99_ns=engine.lag.percentile(99),
        lag_max_ns=engine.lag.maximum,
        late_sends=engine.late,
        peak_rss_bytes=_peak_rss(),
    )

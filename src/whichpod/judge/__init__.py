"""Tally to Verdict to Diagnosis. Pure functions; standard library only.

    judge(tally, target, plan, expectation, *, saturated=False, interrupted=False) -> Verdict
    diagnose(report) -> Diagnosis | None      why it is so; the report's verdict is set
    judged(report, expectation) -> Report     both, filled in

docs/verdict.md says how a verdict is reached.
"""

from whichpod.judge.diagnosis import diagnose
from whichpod.judge.verdicts import judge, judged

__all__ = ["diagnose", "judge", "judged"]

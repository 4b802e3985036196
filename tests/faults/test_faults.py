"""Faults of every kind under load: nothing lost, reordered or renumbered, and no repeat without a cause (REDIS §3.4).

A thousand of them: ``python -m tests.faults.run --faults 1000 --seed 7``.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.faults.plan import SHARES, plan
from tests.faults.run import run

FAULTS = 20
SEEDS = (7, date.today().toordinal())


@pytest.mark.parametrize("seed", SEEDS, ids=("fixed", "of the day"))
async def test_whatever_befalls_it_the_hub_keeps_its_promises(seed: int, tmp_path: Path) -> None:
    report = await run(seed, FAULTS, tmp_path)
    again = f"{date.today()}: python -m tests.faults.run --faults {FAULTS} --seed {seed}"
    assert not report.broken, f"{again}\n{report}"
    assert report.faults.total() == FAULTS and report.figures["repeats by faults"] <= report.figures["bound: in flight"]
    assert report.figures["events"] > 100, f"{again}: too little happened to show anything\n{report}"


def test_a_plan_has_every_kind_and_is_the_same_for_the_same_seed() -> None:
    kinds = [fault.kind for fault in plan(7, FAULTS)]
    assert set(kinds) == set(SHARES)
    assert list(plan(7, FAULTS)) == list(plan(7, FAULTS)) != list(plan(8, FAULTS))

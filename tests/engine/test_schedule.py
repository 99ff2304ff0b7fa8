"""The rate rises, holds, and has fallen to zero when the run is over, by steps or by the clock."""

import pytest

from horsekit.engine.config import ScheduleConfig
from horsekit.engine.schedule import rate_factor, used_share

HALF = ScheduleConfig(warmup_steps=4, decay=0.5)


def test_the_rate_rises_linearly_over_the_warm_up():
    assert [rate_factor(step, 0.0, HALF) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_rate_falls_linearly_over_the_last_share():
    assert [rate_factor(99, used, HALF) for used in (0.4, 0.5, 0.75, 1.0, 1.2)] == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_without_decay_or_warm_up_the_rate_is_constant():
    flat = ScheduleConfig(warmup_steps=0, decay=0.0)
    assert {rate_factor(step, step / 10, flat) for step in range(11)} == {1.0}


@pytest.mark.parametrize(
    ("step", "minutes", "budget", "used"),
    [(5, 100, None, 0.5), (5, 1, 10, 0.5), (5, 8, 10, 0.8), (10, 1, 10, 1.0)],
)
def test_steps_or_minutes_whichever_runs_out_first(step, minutes, budget, used):
    assert used_share(step, 10, minutes, budget) == used

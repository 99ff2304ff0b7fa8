"""The learning rate over a run that ends by steps or by the clock."""

from horsekit.engine.config import ScheduleConfig


def used_share(step: int, steps: int, minutes: float, max_minutes: float | None) -> float:
    """The share of the run that is used up, 1 when it is over."""
    return max(step / steps, 0.0 if max_minutes is None else minutes / max_minutes)


def rate_factor(step: int, used: float, schedule: ScheduleConfig) -> float:
    """What the full rate is multiplied by at a step (from 0), when the share `used` of the run is over."""
    rise = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    fall = min(1.0, (1 - used) / schedule.decay) if schedule.decay else 1.0
    return rise * max(0.0, fall)

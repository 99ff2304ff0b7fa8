"""Flow matching: noise levels, objective, samplers, guidance."""

from horsekit.flow.guidance import Branch, Guidance, combine
from horsekit.flow.objective import Losses, Objective
from horsekit.flow.prediction import to_velocity
from horsekit.flow.samplers import SAMPLERS, Step, euler, renewed, unipc
from horsekit.flow.schedule import schedule, shifted, training_levels

__all__ = [
    "SAMPLERS",
    "Branch",
    "Guidance",
    "Losses",
    "Objective",
    "Step",
    "combine",
    "euler",
    "renewed",
    "schedule",
    "shifted",
    "to_velocity",
    "training_levels",
    "unipc",
]

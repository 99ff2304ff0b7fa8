"""Training: one loop on a DeepSpeed engine, told what to do by a config."""

from horsekit.engine.config import ConfigError, TrainConfig, load_config
from horsekit.engine.log import plot_curve, read_log

__all__ = ["ConfigError", "TrainConfig", "load_config", "plot_curve", "read_log"]

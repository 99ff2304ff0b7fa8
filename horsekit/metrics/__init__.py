"""Numbers about clips, read from pixels and sound alone."""

from horsekit.metrics.statistics import Interval, bootstrap, theil_sen
from horsekit.metrics.sync import MouthTrace, Sync, envelope, timing

__all__ = ["Interval", "MouthTrace", "Sync", "bootstrap", "envelope", "theil_sen", "timing"]

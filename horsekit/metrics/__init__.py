"""Numbers about clips, read from pixels and sound alone."""

from horsekit.metrics.identity import Crowd, Identity, Target, cast, identity_of
from horsekit.metrics.measure import FIGURES, Arm, Measures, measure, mouth_trace, sync_of
from horsekit.metrics.reader import Reader, Reading, trained
from horsekit.metrics.report import Report
from horsekit.metrics.statistics import Interval, bootstrap, theil_sen
from horsekit.metrics.sync import MouthTrace, Sync, envelope, timing

__all__ = [
    "FIGURES",
    "Arm",
    "Crowd",
    "Identity",
    "Interval",
    "Measures",
    "MouthTrace",
    "Reader",
    "Reading",
    "Report",
    "Sync",
    "Target",
    "bootstrap",
    "cast",
    "envelope",
    "identity_of",
    "measure",
    "mouth_trace",
    "sync_of",
    "theil_sen",
    "timing",
    "trained",
]

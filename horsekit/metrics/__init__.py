"""Numbers about clips, read from pixels and sound alone."""

from horsekit.metrics.articulation import Articulation, articulation
from horsekit.metrics.binding import Binding, binding_of
from horsekit.metrics.camera import CameraMotion, CameraScore, camera_of, camera_score
from horsekit.metrics.delivery import Contrast, Manner, contrast_of, manner_of
from horsekit.metrics.identity import Crowd, Identity, Target, cast, identity_of
from horsekit.metrics.light import LightReading, LightScore, light_of, light_score
from horsekit.metrics.measure import (
    FIGURES,
    Arm,
    Asked,
    Measures,
    gloss_order,
    measure,
    mouth_trace,
    sync_of,
)
from horsekit.metrics.reader import Reader, Reading, trained
from horsekit.metrics.report import Report
from horsekit.metrics.statistics import Interval, bootstrap, theil_sen
from horsekit.metrics.sync import MouthTrace, Sync, envelope, timing
from horsekit.metrics.texture import Texture, texture_of
from horsekit.metrics.words import heard_at, word_distance

__all__ = [
    "FIGURES",
    "Arm",
    "Articulation",
    "Asked",
    "Binding",
    "CameraMotion",
    "CameraScore",
    "Contrast",
    "Crowd",
    "Identity",
    "Interval",
    "LightReading",
    "LightScore",
    "Manner",
    "Measures",
    "MouthTrace",
    "Reader",
    "Reading",
    "Report",
    "Sync",
    "Target",
    "Texture",
    "articulation",
    "binding_of",
    "bootstrap",
    "camera_of",
    "camera_score",
    "cast",
    "contrast_of",
    "envelope",
    "gloss_order",
    "heard_at",
    "identity_of",
    "light_of",
    "light_score",
    "manner_of",
    "measure",
    "mouth_trace",
    "sync_of",
    "texture_of",
    "theil_sen",
    "timing",
    "trained",
    "word_distance",
]

"""The stage: a small rendered world whose every detail is known exactly."""

from horsekit.stage.background import Background, Markers
from horsekit.stage.camera import MOVES, SPEEDS, CameraMove, CameraPath, camera_path
from horsekit.stage.cast import PARAMETERS, Character, Parameter, Voice, character_distance
from horsekit.stage.light import COLOURS, DIRECTIONS, GLOSS, STOPS, Light
from horsekit.stage.record import Truth
from horsekit.stage.render import RenderedView, portrait, portrait_light, random_mouths, render
from horsekit.stage.scene import ALONE, PAIR, Placement, Scene, blink_track, default_distance, head_motion
from horsekit.stage.script import Line, Script, stage, stage_batch

__all__ = [
    "ALONE",
    "COLOURS",
    "DIRECTIONS",
    "GLOSS",
    "MOVES",
    "PAIR",
    "PARAMETERS",
    "SPEEDS",
    "STOPS",
    "Background",
    "CameraMove",
    "CameraPath",
    "Character",
    "Light",
    "Line",
    "Markers",
    "Parameter",
    "Placement",
    "RenderedView",
    "Scene",
    "Script",
    "Truth",
    "Voice",
    "blink_track",
    "camera_path",
    "character_distance",
    "default_distance",
    "head_motion",
    "portrait",
    "portrait_light",
    "random_mouths",
    "render",
    "stage",
    "stage_batch",
]

"""The camera: named moves with a start, a speed and a magnitude, as exact poses per frame."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.stage.seeding import choice, generator, uniform

MOVES = (
    "static",
    "pan_left",
    "pan_right",
    "tilt_up",
    "tilt_down",
    "dolly_in",
    "dolly_out",
    "truck_left",
    "truck_right",
    "orbit_left",
    "orbit_right",
    "crane_up",
    "crane_down",
    "zoom_in",
    "zoom_out",
    "handheld",
)
# the share of the clip in which the move is made; it then rests
SPEEDS = {"slow": 1.0, "normal": 0.72, "fast": 0.45}
FOCAL = 1.5
DISTANCE = 3.6
# what the camera looks at: a little below the middle of the head, so that the chest stays in view
TARGET = (0.0, -0.2, 0.0)

# the full extent at magnitude 1: radians, units of length, or (dolly, zoom) the logarithm of a ratio
_EXTENT = {
    "pan": math.radians(12),
    "tilt": math.radians(11),
    "dolly": 0.32,
    "truck": 0.75,
    "orbit": math.radians(65),
    "crane": 1.5,
    "zoom": 0.28,
}
_BACKWARD = ("right", "down", "out")


class CameraPath(NamedTuple):
    """Poses per frame, float64.

    position [F, 3]; rotation [F, 3, 3] with columns right, up, backward in world axes (y is up, the
    default camera stands on +z and looks along −z); focal [F] in picture heights.
    """

    position: Tensor
    rotation: Tensor
    focal: Tensor


@dataclass(frozen=True)
class CameraMove:
    """A move: kind (one of MOVES), speed (slow, normal, fast), magnitude in (0, 1], and its first pose.

    start_yaw turns the camera round its subject (radians, positive to the subject's left as seen),
    start_height lifts it (units), start_distance is its distance from the subject, start_aim_yaw and
    start_aim_pitch turn it away from its subject (radians, left and up), start_shift carries it to the
    side (units, positive right), start_focal is its focal length in picture heights. Left and right
    are the camera's own. `seed` matters to handheld alone.
    """

    kind: str = "static"
    speed: str = "normal"
    magnitude: float = 0.7
    start_yaw: float = 0.0
    start_height: float = 0.0
    start_distance: float = DISTANCE
    start_aim_yaw: float = 0.0
    start_aim_pitch: float = 0.0
    start_shift: float = 0.0
    start_focal: float = FOCAL
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in MOVES:
            raise ValueError(f"no camera move {self.kind!r}; choose one of {', '.join(MOVES)}")
        if self.speed not in SPEEDS:
            raise ValueError(f"no camera speed {self.speed!r}; choose one of {', '.join(SPEEDS)}")
        if not 0 < self.magnitude <= 1:
            raise ValueError(f"camera magnitude is {self.magnitude}; give a number above 0 and up to 1")
        if self.start_distance <= 0 or self.start_focal <= 0:
            raise ValueError(f"distance {self.start_distance} and focal {self.start_focal} must be above 0")

    @classmethod
    def centred(cls, kind: str, speed: str = "normal", magnitude: float = 0.7, **start) -> "CameraMove":
        """A move whose middle is the default framing, so that its subject stays well in view.

        Moves that come closer start there, and moves that draw back end there.
        """
        move = cls(kind, speed, magnitude, **start)
        axis, sign = _axis(kind)
        half = -sign * magnitude * _EXTENT.get(axis, 0.0) / 2
        if axis == "pan":
            return replace(move, start_aim_yaw=move.start_aim_yaw + half)
        if axis == "tilt":
            return replace(move, start_aim_pitch=move.start_aim_pitch + half)
        if axis == "truck":
            return replace(move, start_shift=move.start_shift - half)
        if axis == "orbit":
            return replace(move, start_yaw=move.start_yaw - half)
        if axis == "crane":
            return replace(move, start_height=move.start_height + half)
        if kind == "dolly_out":
            return replace(move, start_distance=move.start_distance * math.exp(-2 * half))
        if kind == "zoom_out":
            return replace(move, start_focal=move.start_focal * math.exp(2 * half))
        return move

    @classmethod
    def draw(cls, seed: int, kinds: tuple[str, ...] = MOVES, distance: float = DISTANCE) -> "CameraMove":
        """A move of a seed, near the default framing."""
        source = generator(seed, "camera")
        return cls.centred(
            choice(source, kinds),
            choice(source, tuple(SPEEDS)),
            uniform(source, 0.45, 1.0),
            start_yaw=uniform(source, -0.2, 0.2),
            start_height=uniform(source, -0.15, 0.2),
            start_distance=distance * uniform(source, 0.97, 1.03),
            seed=seed,
        )


def _axis(kind: str) -> tuple[str, int]:
    """The axis of a move, and +1 for left, up and in."""
    axis, _, way = kind.partition("_")
    return axis, -1 if way in _BACKWARD else 1


def _progress(frames: int, speed: str) -> Tensor:
    """0 at the first frame, 1 when the move has ended, with no jerk at either end."""
    if frames == 1:
        return torch.zeros(1, dtype=torch.float64)
    x = (torch.linspace(0, 1, frames, dtype=torch.float64) / SPEEDS[speed]).clamp(0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def camera_path(move: CameraMove, frames: int) -> CameraPath:
    """The pose of every frame of a move: CameraPath of float64. ValueError below one frame."""
    if frames < 1:
        raise ValueError(f"a camera path of {frames} frames; give at least 1")
    axis, sign = _axis(move.kind)
    travel = _progress(frames, move.speed) * sign * move.magnitude * _EXTENT.get(axis, 0.0)
    rest = torch.zeros_like(travel)

    def along(name: str) -> Tensor:
        return travel if axis == name else rest

    yaw = move.start_yaw - along("orbit")
    height = move.start_height + along("crane")
    distance = move.start_distance * (-along("dolly")).exp()
    shift = move.start_shift - along("truck")
    focal = move.start_focal * along("zoom").exp()

    target = torch.tensor(TARGET, dtype=torch.float64)
    heading = torch.stack([yaw.sin(), height / distance, yaw.cos()], -1)
    position = target + distance[:, None] * heading / heading.norm(dim=-1, keepdim=True)
    rotation = look_at(position, target.expand_as(position))
    position = position + shift[:, None] * rotation[:, :, 0]
    aim_yaw = move.start_aim_yaw + along("pan")
    aim_pitch = move.start_aim_pitch + along("tilt")
    roll = rest
    if move.kind == "handheld":
        sway = _sway(move.seed, frames) * move.magnitude * SPEEDS["slow"] / SPEEDS[move.speed]
        position = position + 0.05 * sway[:, :3]
        aim_yaw, aim_pitch, roll = (torch.stack([aim_yaw, aim_pitch, roll]) + 0.022 * sway[:, 3:].T).unbind()
    return CameraPath(position, rotation @ turn(aim_yaw, aim_pitch, roll), focal)


def _sway(seed: int, frames: int) -> Tensor:
    """[F, 6] smooth wander of unit size: three slow sines per axis with seeded phase and frequency."""
    source = generator(seed, "handheld")
    phase = torch.rand(3, 6, generator=source, dtype=torch.float64) * 2 * math.pi
    hertz = 0.5 + 1.7 * torch.rand(3, 6, generator=source, dtype=torch.float64)
    seconds = torch.arange(frames, dtype=torch.float64)[:, None, None] / 25
    return ((2 * math.pi * hertz * seconds + phase).sin() / hertz.sqrt()).mean(1)


def look_at(position: Tensor, target: Tensor) -> Tensor:
    """[..., 3, 3] rotation of an upright camera at `position` that looks at `target`."""
    backward = torch.nn.functional.normalize(position - target, dim=-1)
    up = torch.zeros_like(backward)
    up[..., 1] = 1
    right = torch.nn.functional.normalize(torch.linalg.cross(up, backward), dim=-1)
    return torch.stack([right, torch.linalg.cross(backward, right), backward], -1)


def turn(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """[..., 3, 3] rotation by roll (about z), then pitch (about x), then yaw (about y); radians.

    Positive yaw turns +z towards +x, positive pitch turns +z down (−z up), positive roll turns +x up.
    """
    o, l = torch.zeros_like(yaw), torch.ones_like(yaw)
    y, p, r = (torch.stack([a.cos(), a.sin()]) for a in (yaw, pitch, roll))
    about_y = torch.stack([y[0], o, y[1], o, l, o, -y[1], o, y[0]], -1)
    about_x = torch.stack([l, o, o, o, p[0], -p[1], o, p[1], p[0]], -1)
    about_z = torch.stack([r[0], -r[1], o, r[1], r[0], o, o, o, l], -1)
    shape = (*yaw.shape, 3, 3)
    return about_y.view(shape) @ about_x.view(shape) @ about_z.view(shape)

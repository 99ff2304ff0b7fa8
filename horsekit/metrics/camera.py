"""How the camera moved, read from pixels alone: which move, how far, how fast.

The backdrop and the speaker's body are followed from frame to frame; a camera that turns carries both along, one
that travels carries them apart, one that zooms enlarges both alike. What every move of the stage's camera would do
to them is known from its geometry, and the nearest is taken.
F frames, T steps between followed frames, K moves, 8 numbers of a step: a similarity (see alignment) of the
backdrop, and of the body.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from horsekit.clock import FRAMES_PER_SECOND
from horsekit.media import Clip
from horsekit.metrics.alignment import motions, places
from horsekit.stage import MOVES, SPEEDS, CameraMove, CameraPath, camera_path

STRIDE = 4  # frames from one followed frame to the next: a latent of video, within which a tokenizer may hold still
LEAST_FRAMES = 9
BACKDROP = 3.5  # the room seen as a cylinder of this radius: between the balls and the wall
# a step's usual error in each number: between that of true clips and that of their round trips, 96 of the train split
TOLERANCE = torch.tensor([0.003, 0.002, 0.004, 0.003, 0.0015, 0.0015, 0.004, 0.003])
BACKDROP_CENTRE, BODY_CENTRE = torch.tensor([0.0, 0.15]), torch.tensor([0.0, -0.38])
MAGNITUDES = torch.linspace(0.1, 1, 10)
FREEDOM = 1.0  # what it costs the one move that has no fixed course, handheld
LATEST, PROMPTNESS = 4, 0.01  # steps by which a move may be late or early, and what each of them costs
MOST_DIRECT = 0.6  # of a handheld camera's way: how much of it leads anywhere
STEADY = ("static", "handheld")
_BODY_POINTS = [(x, y, 0.35) for x in (-0.4, 0.0, 0.4) for y in (-0.7, -0.9, -1.1)]
_BACKDROP_RAYS = [(u, v) for u in (-0.45, -0.38, 0.38, 0.45) for v in (0.0, 0.15, 0.3, 0.45)]
_BACKDROP_RAYS += [(u, 0.45) for u in (-0.2, 0.0, 0.2)]


@dataclass(frozen=True, eq=False)
class CameraMotion:
    """What was read: the steps [T, 8] and the nearest move; or the reason why nothing could be.

    error: the mean distance of a step from that move's, in usual errors.
    """

    steps: Tensor | None = None
    move: CameraMove | None = None
    error: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class CameraScore:
    """A clip against the move that was asked for. None where that has no such number, or the clip is unusable.

    made: the kind of move read; right: whether it is the one asked for, and same_speed its speed; gain: the way
    made over the way asked (1 is all of it, 0 none, below 0 backwards); rotation: mean angle between the two
    cameras in degrees; translation: mean distance of the two in shares of the way; lag: seconds by which the
    move comes late; reason: why the clip is unusable, or empty.
    """

    asked: str
    made: str | None = None
    right: bool = False
    same_speed: bool | None = None
    gain: float | None = None
    rotation: float | None = None
    translation: float | None = None
    lag: float | None = None
    reason: str = ""


def camera_of(clip: Clip) -> CameraMotion:
    """Read the camera's motion. A clip that is too short, black or blank is unusable, with the reason."""
    if len(clip.frames) < LEAST_FRAMES:
        return CameraMotion(reason=f"{len(clip.frames)} frames; the camera needs {LEAST_FRAMES} at least")
    if int(clip.frames.max()) - int(clip.frames.min()) < 16:
        return CameraMotion(reason="the picture is blank")
    backdrop, body = _regions()
    steps = torch.cat(
        [
            motions(clip.frames, backdrop, BACKDROP_CENTRE, STRIDE),
            motions(clip.frames, body, BODY_CENTRE, STRIDE),
        ],
        1,
    )
    moves, expected = _expected(len(steps))
    costs = torch.cat([_distance(steps - expected), _handheld(steps)[None]])
    nearest = int(costs.argmin())
    move = moves[nearest] if nearest < len(moves) else CameraMove("handheld")
    return CameraMotion(steps, move, costs[nearest].item())


def camera_score(motion: CameraMotion, asked: CameraMove) -> CameraScore:
    """Compare what was read with the move that was asked for."""
    if motion.steps is None:
        return CameraScore(asked.kind, reason=motion.reason)
    made = motion.move
    right = made.kind == asked.kind
    if asked.kind in STEADY:
        return CameraScore(asked.kind, made.kind, right)
    magnitude, delay = _course(motion.steps, asked)
    frames = STRIDE * len(motion.steps) + 1
    one, other = camera_path(made, frames), camera_path(asked, frames)
    return CameraScore(
        asked.kind,
        made.kind,
        right,
        same_speed=made.speed == asked.speed if right else False,
        gain=magnitude / asked.magnitude,
        rotation=_angle(one, other),
        translation=_apart(one, other),
        lag=delay,
    )


def steps_of(path: CameraPath) -> Tensor:
    """What a path does to backdrop and body, [T, 8], float32."""
    position, rotation, focal = (part[::STRIDE] for part in path)
    rays = torch.tensor(_BACKDROP_RAYS, dtype=torch.float64).expand(len(focal), -1, -1)
    wall = _on_the_wall(rays, position, rotation, focal)
    body = torch.tensor(_BODY_POINTS, dtype=torch.float64).expand(len(focal), -1, -1)
    parts = []
    for points, centre in ((wall, BACKDROP_CENTRE), (body, BODY_CENTRE)):
        before = _projected(points[:-1], position[:-1], rotation[:-1], focal[:-1])
        after = _projected(points[:-1], position[1:], rotation[1:], focal[1:])
        parts.append(_similarity(before, after, centre.double()))
    return torch.cat(parts, 1).float()


@cache
def _regions() -> tuple[Tensor, Tensor]:
    """Where the backdrop and the body of a speaker in the middle are seen, [64, 64] each."""
    right, up = places(64).unbind(-1)
    shoulders = (up < -0.05) & (right.abs() < 0.46)
    head = (right / 0.27).square() + ((up - 0.07) / 0.36).square() < 1
    body = (up < -0.27) & (right.abs() < 0.3)
    return (~(shoulders | head)).float(), body.float()


@cache
def _expected(steps: int) -> tuple[list[CameraMove], Tensor]:
    """Every move but handheld, and its steps [K, T, 8]."""
    moves = [CameraMove("static")]
    for kind in MOVES:
        if kind not in STEADY:
            moves += [CameraMove.centred(kind, speed, m) for speed in SPEEDS for m in MAGNITUDES.tolist()]
    expected = [steps_of(camera_path(move, STRIDE * steps + 1)) for move in moves]
    return moves, torch.stack(expected)


def _distance(difference: Tensor) -> Tensor:
    """Mean Huber distance of steps [.., T, 8] in usual errors; turns, which no move but handheld has, left out."""
    away = (difference / TOLERANCE)[..., [0, 1, 2, 4, 5, 6]].abs()
    return torch.where(away < 2, away.square() / 2, 2 * away - 2).mean((-2, -1))


def _handheld(steps: Tensor) -> Tensor:
    """The distance of steps [T, 8] from a camera that turns to and fro: both parts go the same way, unzoomed."""
    common = (steps[:, :2] + steps[:, 4:6]) / 2
    if common.sum(0).norm() > MOST_DIRECT * common.norm(dim=1).sum():
        return steps.new_tensor(torch.inf)
    nearest = torch.zeros_like(steps)
    nearest[:, :2] = nearest[:, 4:6] = common
    return _distance(steps - nearest) + FREEDOM


def _course(steps: Tensor, asked: CameraMove) -> tuple[float, float]:
    """The magnitude with which the asked move was made, below 0 for backwards, and its delay in seconds."""
    half = steps_of(camera_path(CameraMove.centred(asked.kind, asked.speed, 0.5), STRIDE * len(steps) + 1))
    delays, magnitudes = torch.arange(-LATEST, LATEST + 1), torch.linspace(-0.6, 1.4, 81)
    padded = functional.pad(half, (0, 0, LATEST, LATEST))
    late = torch.stack([padded[LATEST - delay :][: len(half)] for delay in delays.tolist()])
    costs = _distance(steps - 2 * magnitudes[:, None, None, None] * late) + PROMPTNESS * delays.abs()
    magnitude, delay = divmod(int(costs.argmin()), len(delays))
    return magnitudes[magnitude].item(), STRIDE * delays[delay].item() / FRAMES_PER_SECOND


def _on_the_wall(rays: Tensor, position: Tensor, rotation: Tensor, focal: Tensor) -> Tensor:
    """Where rays [T, K, 2] of the picture meet the backdrop, world [T, K, 3]."""
    flat = rays / focal[:, None, None]
    way = torch.cat([flat, -torch.ones_like(flat[..., :1])], -1) @ rotation.mT
    start = position[:, None]
    a = way[..., 0].square() + way[..., 2].square()
    b = start[..., 0] * way[..., 0] + start[..., 2] * way[..., 2]
    c = start[..., 0].square() + start[..., 2].square() - BACKDROP**2
    far = (-b + (b.square() - a * c).clamp(min=0).sqrt()) / a
    return start + far[..., None] * way


def _projected(points: Tensor, position: Tensor, rotation: Tensor, focal: Tensor) -> Tensor:
    seen = (points - position[:, None]) @ rotation
    return focal[:, None, None] * seen[..., :2] / (-seen[..., 2:])


def _similarity(before: Tensor, after: Tensor, centre: Tensor) -> Tensor:
    """The similarities [T, 4] about a centre that carry points [T, K, 2] nearest to others, in closed form."""
    old, new = before - centre, after - centre
    a, b = old - old.mean(1, keepdim=True), new - new.mean(1, keepdim=True)
    power = a.square().sum((1, 2))
    cos = (a * b).sum((1, 2)) / power
    sin = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(1) / power
    x, y = old.mean(1).unbind(-1)
    shift = new.mean(1) - torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
    scale = (cos.square() + sin.square()).log() / 2
    return torch.cat([shift, scale[:, None], torch.atan2(sin, cos)[:, None]], 1)


def _angle(one: CameraPath, other: CameraPath) -> float:
    """Mean angle in degrees between two cameras, counted from where each began."""
    a, b = (path.rotation[0].T @ path.rotation for path in (one, other))
    trace = (a * b).sum((1, 2))
    return ((trace - 1) / 2).clamp(-1, 1).arccos().rad2deg().mean().item()


def _apart(one: CameraPath, other: CameraPath) -> float | None:
    """Mean distance between two cameras, counted from where each began, over the way of the second."""
    a, b = ((path.position - path.position[0]) @ path.rotation[0] for path in (one, other))
    way = b.diff(dim=0).norm(dim=1).sum()
    return None if way < 1e-6 else ((a - b).norm(dim=1).mean() / way).item()

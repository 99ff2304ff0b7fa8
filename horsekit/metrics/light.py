"""From where the light falls, in what colour and how hard, read from pixels and the character's known shape.

The character's own picture under each of the eight lights is taken apart into what a key and what a fill of
strength one would give, laid over the frame, and the frame is explained by the two. It is a fit of
I = albedo · (key · max(0, N·L) + fill) on known normals, by iterated least squares.
H W pixels, D directions, n pixels of the character, in linear light.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from horsekit.media import Clip
from horsekit.metrics.alignment import moved, places, sampled
from horsekit.metrics.camera import CameraMotion
from horsekit.metrics.figure import CENTRE, SIZE, Figure, figure_of, lay_over, skin_of, to_linear, usual_frame
from horsekit.stage import STOPS, Character, Light

ROUNDS = 6
APART = 3  # frames between those that are looked at
WORST = 0.5  # relative error above which no light explains the picture: noise and strangers have 0.6 and more
LEAST_KEY = 0.3  # of the fill
# linear sRGB by rows to X, Y, Z by columns; by Y keys of all colours are equally bright
TO_XYZ = torch.tensor([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
_OUTLIER = 2.0  # times the median error: where a pixel begins to count for less
_MOST = 0.6  # the relative error that a pixel counts for at most
_DARK = 0.05
_FAINT = 0.02  # added to the error of a direction whose key would be next to nothing: any would do then


@dataclass(frozen=True)
class LightReading:
    """What was read, or the reason why nothing could be.

    direction: 0 to 7, as in stage.DIRECTIONS; azimuth: degrees from the front to the subject's right, refined
    between directions; stops: from the lit side to the shadow; colour: the key's linear RGB, mean 1; error:
    relative, of the pixels.
    """

    direction: int | None = None
    azimuth: float | None = None
    stops: float | None = None
    colour: tuple[float, float, float] | None = None
    error: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class LightScore:
    """A clip against the light that was asked for; None where it is unusable, with the reason.

    right: whether the sector is the one asked for; angle: between azimuths, in degrees; stops: made less asked;
    colour: distance of the keys in CIE 1976 u′v′.
    """

    asked: int
    made: int | None = None
    right: bool = False
    angle: float | None = None
    stops: float | None = None
    colour: float | None = None
    reason: str = ""


def light_of(clip: Clip, character: Character, motion: CameraMotion) -> LightReading:
    """Read the light on a character who is alone in the clip, about when the camera frames it as usual."""
    if motion.move is None:
        return LightReading(reason=motion.reason)
    figure = figure_of(character)
    explained = [_explain(clip.frames[moment], figure) for moment in _moments(clip, motion, 1)]
    costs, lights = zip(*explained, strict=True)
    cost = torch.stack(costs).mean(0)
    best = int(cost.argmin())
    if not cost[best] < WORST:
        return LightReading(reason="no light explains the picture: the character is not seen as it should be")
    key_and_fill = torch.stack(lights)[:, best].median(0).values
    key, fill = key_and_fill[:3], key_and_fill[3]
    return LightReading(
        best,
        _refined(cost, best),
        math.log2(((key @ TO_XYZ[:, 1] + fill) / fill.clamp(min=1e-3)).item()),
        tuple((key / key.mean().clamp(min=1e-6)).tolist()),
        cost[best].item(),
    )


def light_score(reading: LightReading, asked: Light) -> LightScore:
    """Compare what was read with the light that was asked for."""
    if reading.direction is None:
        return LightScore(asked.direction, reason=reading.reason)
    turn = (reading.azimuth - 45 * asked.direction + 180) % 360 - 180
    key = torch.tensor([reading.colour, asked.key])
    return LightScore(
        asked.direction,
        reading.direction,
        reading.direction == asked.direction,
        abs(turn),
        reading.stops - STOPS[asked.key_to_fill],
        (_chromaticity(key[0]) - _chromaticity(key[1])).norm().item(),
    )


def specular_ratio(clip: Clip, character: Character, motion: CameraMotion, direction: int) -> float | None:
    """Light that skin throws back as a mirror does over all that comes from it, under a light from `direction`.

    What a matte skin would show is taken away. A fit of one clip is rough; clips of the same scene in different
    gloss compare well. None for a clip that cannot be read.
    """
    if motion.move is None:
        return None
    figure, skin, ratios = figure_of(character), skin_of(character), []
    for moment in _moments(clip, motion, 2):
        seen, chosen = _seen(clip.frames[moment], figure)
        if not (skin & chosen).any():
            return None
        light = _least_squares(seen[chosen], figure, chosen)[1][direction]
        at = skin & chosen
        matte = figure.key[direction][at] * light[:3] + figure.fill[at] * light[3]
        left = (seen[at] - matte).amin(1).clamp(min=0).sum() / light[:3].mean().clamp(min=0.05)
        ratios.append(left / seen[at].mean(1).sum().clamp(min=1e-6))
    return torch.stack(ratios).median().item()


def _moments(clip: Clip, motion: CameraMotion, reach: int) -> list[int]:
    """Frames about the one in which the camera frames as usual."""
    centre, last = usual_frame(motion.move, len(clip.frames)), len(clip.frames) - 1
    return [min(max(centre + k * APART, 0), last) for k in range(-reach, reach + 1)]


def _seen(frame: Tensor, figure: Figure) -> tuple[Tensor, Tensor]:
    """The frame in linear light with the character where its figure is, [H, W, 3], and what of it counts [H, W]."""
    target = moved(lay_over(figure, frame), places(SIZE)[None], CENTRE)
    linear = rearrange(to_linear(frame), "H W C -> 1 C H W")
    seen = sampled(linear, target)
    inner = -functional.max_pool2d(-figure.mask[None, None], 3, 1, 1)[0, 0]  # without the outline
    chosen = (inner > 0) & (target[0].abs() < 0.5).all(-1)
    return rearrange(seen[0], "C H W -> H W C"), chosen


def _explain(frame: Tensor, figure: Figure) -> tuple[Tensor, Tensor]:
    """The relative error [D] that a light from each direction leaves, and its key and fill [D, 4]."""
    seen, chosen = _seen(frame, figure)
    return _least_squares(seen[chosen], figure, chosen)


def _least_squares(seen: Tensor, figure: Figure, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Key [3] and fill of every direction for pixels [n, 3], with those that do not fit weighted down."""
    key, fill = figure.key[:, chosen], figure.fill[chosen].expand(len(figure.key), -1, -1)
    bright = seen.mean(1) + _DARK
    weight = (1 / bright.square()).expand(len(key), -1)
    for _ in range(ROUNDS):
        normal, right = key.new_zeros(len(key), 4, 4), key.new_zeros(len(key), 4)
        crossed = torch.einsum("dnc,dnc,dn->dc", key, fill, weight)
        normal[:, :3, :3] = torch.diag_embed(torch.einsum("dnc,dnc,dn->dc", key, key, weight))
        normal[:, :3, 3] = normal[:, 3, :3] = crossed
        normal[:, 3, 3] = torch.einsum("dnc,dnc,dn->d", fill, fill, weight)
        right[:, :3] = torch.einsum("dnc,nc,dn->dc", key, seen, weight)
        right[:, 3] = torch.einsum("dnc,nc,dn->d", fill, seen, weight)
        light = torch.linalg.solve(normal + 1e-6 * torch.eye(4), right).clamp(min=0)
        left = seen - key * light[:, None, :3] - fill * light[:, None, 3:]
        error = left.square().mean(2).sqrt() / bright
        usual = error.median(1, keepdim=True).values.clamp(min=0.01)
        weight = 1 / (1 + (error / (_OUTLIER * usual)).square()) / bright.square()
    faint = light[:, :3].mean(1) < LEAST_KEY * light[:, 3]
    return error.clamp(max=_MOST).mean(1) + _FAINT * faint, light


def _refined(cost: Tensor, best: int) -> float:
    """The azimuth in degrees at the foot of the parabola through the best direction and its neighbours."""
    count = len(cost)
    before, at, after = (cost[(best + k) % count].clamp(max=1).item() for k in (-1, 0, 1))
    curve = before - 2 * at + after
    shift = 0.5 * (before - after) / curve if curve > 0 else 0.0
    return 360 / count * (best + min(max(shift, -0.5), 0.5))


def _chromaticity(colour: Tensor) -> Tensor:
    """CIE 1976 u′v′ [2] of linear sRGB [3]."""
    x, y, z = colour.double() @ TO_XYZ.double()
    whole = (x + 15 * y + 3 * z).clamp(min=1e-9)
    return torch.stack([4 * x / whole, 9 * y / whole])

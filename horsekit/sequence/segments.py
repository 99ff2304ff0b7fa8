"""Tokens of any modality on one clock (SPEC §1.5, §2).

N tokens of a segment, T latent frames, H W latent grid, C channels

A token's nine coordinates are its place (t, h, w), the size of its grid and a reference size; the rotary
position on an axis is place × (reference − 1) / (size − 1), centred in space.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from horsekit.clock import FRAMES_PER_LATENT, latent_places
from horsekit.tokenizers import TextTokenizer

MAX_SLOTS, MAX_REFERENCES = 4, 9  # characters, and pictures of them all, that condition a clip
SLOT_GAP = 10  # latent times between the reference pictures of one slot and those of the next
VOICE_START, VOICE_GAP = 100, 25  # latent times before a clip at which voices begin, and between two of them
MAX_VOICE = FRAMES_PER_LATENT * VOICE_GAP  # audio tokens of a voice: four seconds
Patch = tuple[int, int, int]


class Modality(IntEnum):
    """The order of the experts in every stacked weight, and of the rows in a stream."""

    VIDEO = 0
    AUDIO = 1
    TEXT = 2


class Role(StrEnum):
    """What is asked of a segment's tokens."""

    GENERATE = "generate"
    GIVEN = "given"
    REFERENCE = "reference"


@dataclass(frozen=True, eq=False)
class Segment:
    """A run of tokens of one modality with one role.

    values: [N, C], or token ids [N] for text; coords: [N, 9] float32; slots: [N], 0 for no subject;
    generate: [N], false where the value is clean and stays; focus: [N] in 0..1, how much a token shows of what
    has to be right above all, the lips; shows: [N] the slot of the subject that a token to be made shows, 0 for
    none or unknown; grid: (T, H, W) of video in patches.
    """

    modality: Modality
    role: Role
    values: Tensor
    coords: Tensor
    slots: Tensor
    generate: Tensor
    focus: Tensor
    shows: Tensor
    grid: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Sequence:
    """The segments of one sample."""

    segments: tuple[Segment, ...]


def to_patches(latents: Tensor, patch: Patch = (1, 1, 1)) -> Tensor:
    """Latents [T, H, W, C] to tokens [N, C·pt·ph·pw], features channel-major: what goes in (SPEC §2.2)."""
    t, h, w = patch
    if latents.shape[0] % t or latents.shape[1] % h or latents.shape[2] % w:
        raise ValueError(f"latents of grid {tuple(latents.shape[:3])} do not divide into patches of {patch}")
    return rearrange(latents, "(T t) (H h) (W w) C -> (T H W) (C t h w)", t=t, h=h, w=w)


def from_patches(tokens: Tensor, grid: tuple[int, int, int], patch: Patch = (1, 1, 1)) -> Tensor:
    """Tokens [N, pt·ph·pw·C] to latents [T, H, W, C], features channel-minor: what comes out (SPEC §2.2)."""
    (frames, height, width), (t, h, w) = grid, patch
    return rearrange(
        tokens, "(T H W) (t h w C) -> (T t) (H h) (W w) C", T=frames, H=height, W=width, t=t, h=h, w=w
    )


def to_latents(tokens: Tensor, grid: tuple[int, int, int], patch: Patch = (1, 1, 1)) -> Tensor:
    """What to_patches made, undone: features channel-major."""
    (frames, height, width), (t, h, w) = grid, patch
    return rearrange(
        tokens, "(T H W) (C t h w) -> (T t) (H h) (W w) C", T=frames, H=height, W=width, t=t, h=h, w=w
    )


def _coords(places: Tensor, size: tuple[int, int, int], reference: tuple[float, float, float]) -> Tensor:
    shape = torch.tensor([*size, *reference], dtype=torch.float32)
    return torch.cat([places.float(), shape.expand(len(places), 6)], dim=1)


def _grid_places(grid: tuple[int, int, int], first: float) -> Tensor:
    axes = [torch.arange(n, dtype=torch.float32) for n in grid]
    return torch.cartesian_prod(axes[0] + first, *axes[1:]).reshape(-1, 3)


def _line_places(count: int, first: float) -> Tensor:
    return pad(torch.arange(count, dtype=torch.float32)[:, None] + first, (0, 2))


def video_segment(
    latents: Tensor,
    role: Role = Role.GENERATE,
    origin_latent: int = 0,
    given: Tensor | None = None,
    patch: Patch = (1, 1, 1),
    focus: Tensor | None = None,
    shows: Tensor | None = None,
) -> Segment:
    """Video latents [T, H, W, C]. given: which latent frames are clean, [T] bool, none unless told.

    origin_latent: latents of the clip before this window, which then continues on the same clock; focus, shows:
    the segment's, as [T, H, W] of latents.
    Errors: ValueError for latents of another shape, or that do not divide into patches.
    """
    if latents.ndim != 4:
        raise ValueError(f"video latents are {tuple(latents.shape)}; give [T, H, W, C]")
    grid = tuple(n // p for n, p in zip(latents.shape[:3], patch, strict=True))
    generate = torch.full((grid[0] * grid[1] * grid[2],), role == Role.GENERATE)
    if given is not None:
        generate &= ~given.unflatten(0, (-1, patch[0])).all(1).repeat_interleave(grid[1] * grid[2])
    return Segment(
        Modality.VIDEO,
        role,
        to_patches(latents, patch),
        _coords(_grid_places(grid, origin_latent), grid, grid),
        torch.zeros(len(generate), dtype=torch.long),
        generate,
        torch.zeros(len(generate)) if focus is None else to_patches(focus[..., None], patch).amax(1),
        torch.zeros(len(generate), dtype=torch.long)
        if shows is None
        else to_patches(shows[..., None], patch).mode(1).values,
        grid,
    )


def audio_segment(
    latents: Tensor,
    role: Role = Role.GENERATE,
    origin_token: int = 0,
    given: Tensor | None = None,
    video_latents: int | None = None,
) -> Segment:
    """Audio latents [N, C], four to a video latent. given: which are clean, [N] bool, none unless told.

    origin_token: audio tokens of the clip before this window, four to each latent of the video's origin;
    video_latents: the reference time size of coordinate style v1; by default v2's (N − 1) // 4 + 1.
    """
    if latents.ndim != 2 or not len(latents):
        raise ValueError(f"audio latents are {tuple(latents.shape)}; give [N, C] with at least one token")
    count = len(latents)
    reference = video_latents or (count - 1) // FRAMES_PER_LATENT + 1
    generate = torch.full((count,), role == Role.GENERATE)
    if given is not None:
        generate &= ~given
    return Segment(
        Modality.AUDIO,
        role,
        latents,
        _coords(_line_places(count, origin_token), (count, 1, 1), (reference, 1, 1)),
        torch.zeros(count, dtype=torch.long),
        generate,
        torch.zeros(count),
        torch.zeros(count, dtype=torch.long),
    )


def text_segment(
    values: Tensor, slots: Tensor | None = None, style: str = "v2", times: Tensor | None = None
) -> Segment:
    """Text ids [N] or encoder states [N, C]. slots [N]: the subject a token mentions, 0 for none.

    times: [N, 2], when a token is said, in seconds, NaN for no time; such a token stands where the sound of its
    start does. Of all others style v2 puts them at time 0, v1 spreads them over one latent time (SPEC §1.5).
    """
    count = len(values)
    if count == 0:
        raise ValueError("the text has no tokens; use the tokenizer's empty prompt to withhold words")
    if style not in ("v1", "v2"):
        raise ValueError(f"coords_style is {style!r}; use 'v1' or 'v2'")
    if slots is not None and len(slots) != count:
        raise ValueError(f"{len(slots)} slots for {count} text tokens; give one for each")
    first, reference = (-count, 1) if style == "v2" else (0, 2)
    coords = _coords(_line_places(count, first), (count, 1, 1), (reference, 1, 1))
    if times is not None:
        if times.shape != (count, 2):
            raise ValueError(f"times of shape {list(times.shape)} for {count} text tokens; give [{count}, 2]")
        timed = times[:, 0].isfinite()
        places = pad(latent_places(times[timed, :1]), (0, 2))
        coords[timed] = _coords(places, (2, 1, 1), (2, 1, 1))  # sizes of 2 leave a place as it is
    return Segment(
        Modality.TEXT,
        Role.GIVEN,
        values,
        coords,
        torch.zeros(count, dtype=torch.long) if slots is None else slots,
        torch.zeros(count, dtype=torch.bool),
        torch.zeros(count),
        torch.zeros(count, dtype=torch.long),
    )


def words_segment(prompt: str, text: TextTokenizer, slots: Mapping[int, int] | None = None) -> Segment:
    """The words of a prompt as tokens, each with its slot and its time; of no words, what stands for withheld ones.

    slots: by which numbers the prompt's subjects go here, their own unless told.
    """
    if not prompt:
        return text_segment(torch.tensor(text.empty))
    ids = text.renumber(text.encode(prompt), slots or {})
    return text_segment(torch.tensor(ids), torch.tensor(text.slots(ids)), times=text.positions(prompt))


def reference_segment(latents: Tensor, slot: int, index: int = 0, patch: Patch = (1, 1, 1)) -> Segment:
    """A reference picture [1, H, W, C] of subject `slot` (from 1), the `index`-th of its pictures.

    It stands at latent time −(10·slot + index), outside every clip.
    """
    if slot < 1 or not 0 <= index < SLOT_GAP:
        raise ValueError(
            f"slot {slot}, picture {index}: slots count from 1, pictures from 0 to {SLOT_GAP - 1}"
        )
    picture = video_segment(latents, Role.REFERENCE, -(SLOT_GAP * slot + index), patch=patch)
    return replace(picture, slots=torch.full((len(picture),), slot, dtype=torch.long))


def voice_segment(latents: Tensor, slot: int) -> Segment:
    """Some speech [N, C] by which subject `slot` (from 1) is known by ear; N at most MAX_VOICE.

    It begins at latent time −(100 + 25·slot), before all pictures, and runs as sound does.
    """
    count = len(latents)
    if slot < 1 or latents.ndim != 2 or not 1 <= count <= MAX_VOICE:
        raise ValueError(
            f"slot {slot}, voice {list(latents.shape)}: slots count from 1, a voice has 1 to {MAX_VOICE} tokens"
        )
    places = _line_places(count, 0) / FRAMES_PER_LATENT
    places[:, 0] -= VOICE_START + VOICE_GAP * slot
    return Segment(
        Modality.AUDIO,
        Role.REFERENCE,
        latents,
        _coords(places, (2, 1, 1), (2, 1, 1)),  # sizes of 2 leave a place as it is
        torch.full((count,), slot, dtype=torch.long),
        torch.zeros(count, dtype=torch.bool),
        torch.zeros(count),
        torch.zeros(count, dtype=torch.long),
    )

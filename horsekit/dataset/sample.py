"""One training example as the tokenizers left it, and the sequence a task makes of it.

T latent frames, h w latent grid, N audio tokens, C channels, R reference pictures
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from horsekit.prompt import DIRECTIONS, may_speak, without_layers
from horsekit.sequence import (
    MAX_REFERENCES,
    MAX_SLOTS,
    Segment,
    Sequence,
    audio_segment,
    reference_segment,
    video_segment,
    voice_segment,
    words_segment,
)
from horsekit.tokenizers import TextTokenizer

Twins = Literal["", "term", "voice"]  # by what samples that come two by two differ, if they do


@dataclass(frozen=True, eq=False)
class LatentSample:
    """A clip in latents with its prompts and the pictures of its characters.

    video [T, h, w, C]; audio [N, C] or None for a clip without sound; prompts: wordings of the same clip;
    described: prompts that describe the characters in place of naming pictures of them, for when none are given;
    references: for each slot (1, 2, ...) as the prompts number it, latents [R, h, w, C] of that character;
    focus: [T, h, w] in 0..1, how much each latent shows of the lips, or None where that is unknown; shows:
    [T, h, w] whole numbers, the slot of the character that is there or nearest, or None; voices: for
    each slot, audio latents [N, C] of that character saying something else.
    """

    video: Tensor
    audio: Tensor | None
    prompts: tuple[str, ...]
    references: dict[int, Tensor] = field(default_factory=dict)
    focus: Tensor | None = None
    voices: dict[int, Tensor] = field(default_factory=dict)
    described: tuple[str, ...] = ()
    shows: Tensor | None = None


@dataclass(frozen=True)
class Recipe:
    """How often a sample is turned into which task, and what is withheld from it.

    text_drop, reference_drop: chance that all words or all pictures are withheld (for guidance); direction_drop: that
    the words on camera and light are; each_reference_drop: chance for each single picture, one always stays;
    voice_drop: chance that all voices are withheld, as always are those of who says no line; image_to_video,
    audio_to_video, video_to_audio, continuation: chance that a part of the clip is given; the rest is reference to
    video; last_image: chance that the picture given opens no clip but ends it.
    """

    text_drop: float = 0.1
    reference_drop: float = 0.1
    each_reference_drop: float = 0.15
    max_references: int = 3
    reference_noise: float = 0.05
    voice_drop: float = 0.3
    image_to_video: float = 0.05
    last_image: float = 0.5
    audio_to_video: float = 0.05
    video_to_audio: float = 0.02
    continuation: float = 0.03
    direction_drop: float = 0.1

    def __post_init__(self) -> None:
        shares = (
            *("text_drop", "reference_drop", "direction_drop", "each_reference_drop"),
            *("reference_noise", "voice_drop", "last_image"),
        )
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")
        if self.image_to_video + self.audio_to_video + self.video_to_audio + self.continuation > 1:
            raise ValueError("the chances of the tasks add up to more than 1; lower some of them")
        if not 1 <= self.max_references <= MAX_REFERENCES:
            raise ValueError(f"max_references is {self.max_references}; use 1 to {MAX_REFERENCES}")

    def sequence(self, sample: LatentSample, text: TextTokenizer, generator: torch.Generator) -> Sequence:
        """Draw a task for the sample and lay its tokens out."""
        slots = self._draw_slots(sample, generator)
        segments = self._clip_segments(sample, slots, generator)
        unknown = _chance(self.reference_drop, generator)
        prompts = sample.described if unknown and sample.described else sample.prompts
        prompt = self._prompt(prompts, generator)
        segments.append(words_segment(prompt, text, slots))
        if not unknown:
            segments += self._references(sample, slots, generator)
        if sample.voices and not _chance(self.voice_drop, generator):
            segments += [
                voice_segment(voice, slots[own])
                for own, voice in sample.voices.items()
                if may_speak(prompt, own)
            ]
        return Sequence(tuple(segments))

    def _draw_slots(self, sample: LatentSample, generator: torch.Generator) -> dict[int, int]:
        """Which number each character goes by this time, so that a slot never means a certain character."""
        own = sorted(sample.references.keys() | sample.voices.keys())
        order = torch.randperm(MAX_SLOTS, generator=generator)[: len(own)] + 1
        return dict(zip(own, order.tolist(), strict=True))

    def _clip_segments(
        self, sample: LatentSample, slots: dict[int, int], generator: torch.Generator
    ) -> list[Segment]:
        chances = torch.tensor(
            [self.image_to_video, self.audio_to_video, self.video_to_audio, self.continuation]
        ).cumsum(0)
        task = int((torch.rand((), generator=generator) > chances).sum())
        latents = sample.video.shape[0]
        seen = torch.zeros(latents, dtype=torch.bool)
        heard = torch.zeros(0 if sample.audio is None else len(sample.audio), dtype=torch.bool)
        if task == 0:
            seen[-1 if _chance(self.last_image, generator) else 0] = True
        elif task == 1:
            heard[:] = True
        elif task == 2 and sample.audio is not None:
            seen[:] = True
        elif task == 3 and latents > 2:
            prefix = int(torch.randint(2, 2 + latents // 2, (), generator=generator))
            seen[:prefix] = True
            heard[: 4 * prefix - 3] = True
        segments = [
            video_segment(
                sample.video, given=seen, focus=sample.focus, shows=_renumbered(sample.shows, slots)
            )
        ]
        if sample.audio is not None:
            segments.append(audio_segment(sample.audio, given=heard))
        return segments

    def _prompt(self, prompts: tuple[str, ...], generator: torch.Generator) -> str:
        if _chance(self.text_drop, generator):
            return ""
        prompt = prompts[int(torch.randint(len(prompts), (), generator=generator))]
        return without_layers(prompt, DIRECTIONS) if _chance(self.direction_drop, generator) else prompt

    def _references(
        self, sample: LatentSample, slots: dict[int, int], generator: torch.Generator
    ) -> list[Segment]:
        segments = []
        for own, pictures in sample.references.items():
            order = torch.randperm(len(pictures), generator=generator)[: self.max_references]
            keep = [int(i) for i in order if not _chance(self.each_reference_drop, generator)] or [
                int(order[0])
            ]
            wanted = int(torch.randint(1, len(keep) + 1, (), generator=generator))
            for index, picture in enumerate(keep[:wanted]):
                latents = pictures[picture : picture + 1]
                noise = torch.randn(latents.shape, generator=generator)
                segments.append(reference_segment(latents + self.reference_noise * noise, slots[own], index))
        return segments


def _renumbered(shows: Tensor | None, slots: dict[int, int]) -> Tensor | None:
    if shows is None:
        return None
    return torch.tensor([slots.get(own, 0) for own in range(int(shows.max()) + 1)])[shows]


def _chance(probability: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < probability)

"""Samples of tokens packed into one stream, and back (SPEC §2).

S tokens, T latent frames, H W latent grid, C channels
"""

from collections.abc import Sequence as Samples
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from horsekit.sequence.segments import Modality, Patch, Role, Segment, Sequence, from_patches, to_latents


@dataclass(frozen=True, eq=False)
class Stream:
    """Tokens of several samples grouped by modality: all video rows, then all audio, then all text.

    video [Nv, C], audio [Na, C], text ids [Nt] or states [Nt, C]; coords [S, 9], slots, generate, focus, shows
    [S]; counts: (video, audio, text) tokens of each sample; grids: each sample's (T, H, W) of video in patches.
    """

    video: Tensor
    audio: Tensor
    text: Tensor
    coords: Tensor
    slots: Tensor
    generate: Tensor
    focus: Tensor
    shows: Tensor
    counts: tuple[tuple[int, int, int], ...]
    grids: tuple[tuple[int, int, int] | None, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each sample."""
        return tuple(sum(count) for count in self.counts)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Rows of each modality."""
        return len(self.video), len(self.audio), len(self.text)

    @cached_property
    def modality(self) -> Tensor:
        """Modality of each row, [S]."""
        sizes = torch.tensor(self.sizes, device=self.coords.device)
        return torch.arange(3, device=self.coords.device).repeat_interleave(sizes)

    @cached_property
    def sample(self) -> Tensor:
        """Sample of each row, [S]."""
        counts = torch.tensor(self.counts, device=self.coords.device).T.reshape(-1)
        samples = torch.arange(len(self.counts), device=self.coords.device).repeat(3)
        return samples.repeat_interleave(counts)

    @cached_property
    def order(self) -> Tensor:
        """Rows read sample by sample, each in the order video, audio, text, [S]."""
        return torch.argsort(self.sample, stable=True)

    @cached_property
    def inverse(self) -> Tensor:
        """Where each row stands in `order`, [S]."""
        return torch.argsort(self.order)

    @cached_property
    def plans(self) -> dict:
        """What a model made of this layout, by what it depends on; streams that `replace` made share it."""
        return {}

    def replace(self, video: Tensor | None = None, audio: Tensor | None = None) -> "Stream":
        """The same layout with other values; what was derived from the layout is kept."""
        other = replace(
            self, video=self.video if video is None else video, audio=self.audio if audio is None else audio
        )
        derived = {key: self.__dict__[key] for key in self.__dict__.keys() - other.__dict__.keys()}
        other.__dict__.update(derived, plans=self.plans)
        return other

    def to(self, device: torch.device | str) -> "Stream":
        """The same tokens on another device."""
        moved = ("video", "audio", "text", "coords", "slots", "generate", "focus", "shows")
        return replace(self, **{name: getattr(self, name).to(device) for name in moved})


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples, and the reference pictures and voices that belong to them.

    Each picture and each voice is a sample of the stream `references`, since it attends to itself alone, all
    pictures before all voices, so that its rows stand sample after sample; `owners` names the sample of `main` it
    belongs to. twins: samples 2k and 2k + 1 are the same scene but for one term of their prompts or for the voice.
    """

    main: Stream
    references: Stream | None = None
    owners: tuple[int, ...] = ()
    twins: bool = False

    def replace(self, main: Stream) -> "Batch":
        """The same references beside another main stream."""
        return replace(self, main=main)

    def to(self, device: torch.device | str) -> "Batch":
        """The same tokens on another device."""
        references = None if self.references is None else self.references.to(device)
        return replace(self, main=self.main.to(device), references=references)


def pack(sequences: Samples[Sequence]) -> Batch:
    """Pack samples of any length, without padding.

    Errors: ValueError for no samples, or segments whose channels differ.
    """
    if not sequences:
        raise ValueError("there is nothing to pack; give at least one sequence")
    main = [[s for s in sequence.segments if s.role != Role.REFERENCE] for sequence in sequences]
    known = [
        (owner, segment)
        for modality in Modality
        for owner, sequence in enumerate(sequences)
        for segment in sequence.segments
        if segment.role == Role.REFERENCE and segment.modality == modality
    ]
    references = _stream([[segment] for _, segment in known]) if known else None
    return Batch(_stream(main), references, tuple(owner for owner, _ in known))


def unpack(
    batch: Batch, video: Tensor | None = None, audio: Tensor | None = None, patch: Patch = (1, 1, 1)
) -> list[tuple[Tensor, Tensor]]:
    """Rows back into each sample's video latents [T, H, W, C] and audio latents [N, C].

    video, audio: rows that a model predicted; by default the batch's own, whose patches are ordered as they
    went in.
    """
    stream = batch.main
    videos = (stream.video if video is None else video).split([count[0] for count in stream.counts])
    audios = (stream.audio if audio is None else audio).split([count[1] for count in stream.counts])
    back = to_latents if video is None else from_patches
    return [
        (back(rows, grid or (0, 1, 1), patch), sound)
        for rows, sound, grid in zip(videos, audios, stream.grids, strict=True)
    ]


def magihuman_packed(stream: Stream) -> tuple[Tensor, Tensor, Tensor]:
    """One sample in the published form (SPEC §2.1): tokens [S, C] zero-padded, modality [S], coordinates [S, 9].

    Errors: ValueError for several samples, or text that is ids instead of encoder states.
    """
    if len(stream.counts) != 1 or stream.text.ndim != 2:
        raise ValueError(
            f"{len(stream.counts)} samples, text {tuple(stream.text.shape)}; give one with states"
        )
    parts = [stream.video, stream.audio, stream.text]
    width = max(part.shape[1] for part in parts)
    tokens = torch.cat([pad(part.float(), (0, width - part.shape[1])) for part in parts])
    return tokens, stream.modality, stream.coords


def _stream(samples: list[list[Segment]]) -> Stream:
    by_modality = [
        [[s for s in segments if s.modality == modality] for segments in samples] for modality in Modality
    ]
    flat = [[s for segments in group for s in segments] for group in by_modality]
    ordered = [segment for group in flat for segment in group]
    counts = tuple(zip(*([sum(map(len, own)) for own in group] for group in by_modality), strict=True))
    values = [_values(group) for group in flat]
    return Stream(
        *values,
        coords=torch.cat([s.coords for s in ordered]),
        slots=torch.cat([s.slots for s in ordered]),
        generate=torch.cat([s.generate for s in ordered]),
        focus=torch.cat([s.focus for s in ordered]),
        shows=torch.cat([s.shows for s in ordered]),
        counts=counts,
        grids=tuple(own[0].grid if own else None for own in by_modality[Modality.VIDEO]),
    )


def _values(segments: list[Segment]) -> Tensor:
    shapes = {tuple(segment.values.shape[1:]) for segment in segments}
    if len(shapes) > 1:
        raise ValueError(f"segments to be packed have {sorted(shapes)} channels; use one tokenizer for all")
    return torch.cat([segment.values for segment in segments]) if segments else torch.zeros(0, 0)

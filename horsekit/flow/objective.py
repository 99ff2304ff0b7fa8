"""Flow matching over a packed batch: noise in, velocity asked, loss out.

B samples, S tokens, L noise-level bins, C channels
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from horsekit.flow.prediction import to_velocity
from horsekit.flow.schedule import training_levels
from horsekit.sequence import Batch, Modality, Stream

LEVEL_BINS = 4
LEAST_LIPS = 0.05  # share of the lips in a latent, below which they are not in the picture
MADE = (Modality.VIDEO, Modality.AUDIO)
LEAST_APART = 0.002  # mean square by which twins differ, in latents; of less no share is asked


@dataclass(frozen=True, eq=False)
class Losses:
    """`total` carries the gradient; the others are detached.

    video, audio: mean squared velocity error per generated token and channel, NaN without such tokens; by_level
    [L, 2]: the same in L equal bins of σ, NaN where a bin is empty; tokens: how many were generated.
    """

    total: Tensor
    video: Tensor
    audio: Tensor
    by_level: Tensor
    tokens: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Noisy:
    """A corrupted stream, and of its video and audio tokens the velocities [N, C] and the levels [N, 1]."""

    stream: Stream
    targets: tuple[Tensor, Tensor]
    levels: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Objective:
    """Mean squared error of the velocity v = ε − x₀ (SPEC §3.1), balanced between picture and sound.

    shift moves the training noise levels towards noise; audio_weight is the share of the sound in the loss
    relative to the picture, whatever the token counts; spreads: the deviations [C] of picture and sound, which
    let the channels that carry more count for more; first_weight: how much a clip's first latent counts in the
    loss, which tells one frame in as many channels as others tell four, and sets what those go on from;
    lips_weight: how much it counts that lips open in time, as read along the directions `lips` [C, K], since
    that is little of the picture and all that the sound tells of; binding_weight: how much it counts that a token
    of the picture carries the tag of the subject that it shows, without which it cannot tell whose references are
    its own (after the localisation loss of FastComposer, arXiv 2305.10431); twin_weight: how much it counts that
    twins, which share their noise, differ as they should: all that is hard to tell about a scene is taken out, and
    what one term of the prompt means is left, or what tells two voices apart; term_weight: how much it counts that
    a token of the picture carries the terms of its prompt, the ids from terms[0] to terms[1], half-way through the
    layers; apart: the share of samples whose sound has a noise level of its own, so that either can be read from the
    other; predicts: what the model's output means (to_velocity).
    """

    shift: float = 3.0
    audio_weight: float = 0.5
    spreads: tuple[Tensor | float, Tensor | float] = (1.0, 1.0)
    first_weight: float = 1.0
    lips_weight: float = 0.0
    lips: Tensor | None = None
    binding_weight: float = 0.0
    twin_weight: float = 0.0
    term_weight: float = 0.0
    terms: tuple[int, int] = (0, 0)
    apart: float = 0.0
    predicts: str = "velocity"

    def levels(self, samples: int, generator: torch.Generator) -> Tensor:
        """Noise levels of the picture and the sound of each sample, [B, 2]."""
        picture = training_levels(samples, self.shift, generator)
        if not self.apart:
            return picture[:, None].expand(-1, 2)
        own = training_levels(samples, self.shift, generator)
        apart = torch.rand(samples, generator=generator, device=generator.device) < self.apart
        return torch.stack([picture, torch.where(apart, own, picture)], dim=1)

    def noisy(self, stream: Stream, sigma: Tensor, generator: torch.Generator, twins: bool = False) -> Noisy:
        """Corrupt what is to be generated; given tokens stay clean.

        sigma: [B, 2], a noise level for the picture and the sound of each sample; twins share their noise.
        """
        noisy, targets, levels = [], [], []
        for modality, clean in zip(MADE, (stream.video, stream.audio), strict=True):
            rows = stream.modality == modality
            level = sigma[stream.sample[rows], int(modality)].to(clean.dtype)
            level = (level * stream.generate[rows])[:, None]
            levels.append(level)
            # drawn where the generator lives, so that a seed means the same noise on every device
            noise = torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)
            if twins and len(clean):
                noise = _by_twins(noise, stream)[:, :1].expand(-1, 2, -1, -1).reshape(clean.shape)
            noisy.append((1 - level) * clean + level * noise)
            targets.append(noise - clean)
        return Noisy(stream.replace(video=noisy[0], audio=noisy[1]), tuple(targets), tuple(levels))

    def __call__(self, model: Callable, batch: Batch, generator: torch.Generator) -> Losses:
        """Draw noise levels and noise, run the model, and measure.

        Errors: ValueError when the loss is not finite, naming the modality.
        """
        stream = batch.main
        sigma = self.levels(len(stream.counts), generator).to(stream.video.device)
        if batch.twins:
            sigma = sigma[::2].repeat_interleave(2, dim=0)
        noisy = self.noisy(stream, sigma, generator, batch.twins)
        output = model(batch.replace(main=noisy.stream))
        left = self._left((output.video, output.audio), noisy)
        video_error, audio_error = (part.square().mean(dim=1) for part in left)
        video, video_levels = self._mean(video_error, stream, Modality.VIDEO, sigma[:, 0])
        audio, audio_levels = self._mean(audio_error, stream, Modality.AUDIO, sigma[:, 1])
        total = self._weighted(video_error, stream) + self.audio_weight * audio
        if self.lips_weight:
            total = total + self.lips_weight * self._of_lips(left[0] * noisy.levels[0], stream)
        if self.binding_weight:
            total = total + self.binding_weight * self._of_tags(output.tags, stream)
        if self.twin_weight and batch.twins:
            total = total + self.twin_weight * self._of_twins(left, noisy.targets, stream)
        if self.term_weight:
            total = total + self.term_weight * self._of_terms(output.words, stream)
        for name, value in (("video", video), ("audio", audio)):
            if not torch.isfinite(value):
                raise ValueError(
                    f"the {name} loss is {value.item()}; lower the learning rate or check the cached latents"
                )
        counts = [int((stream.generate & (stream.modality == m)).sum()) for m in MADE]
        by_level = torch.stack([video_levels, audio_levels], dim=1)
        shown = [
            loss.detach() if count else torch.full_like(loss, torch.nan)
            for loss, count in zip((video, audio), counts, strict=True)
        ]
        return Losses(total, *shown, by_level, (counts[0], counts[1]))

    def _left(self, outputs: tuple[Tensor, Tensor], noisy: Noisy) -> list[Tensor]:
        """What is left between the velocities predicted and wanted, of the picture and of the sound, [N, C] each."""
        errors = []
        tokens = (noisy.stream.video, noisy.stream.audio)
        parts = zip(outputs, tokens, noisy.levels, self.spreads, noisy.targets, strict=True)
        for output, values, level, spread, target in parts:
            left = output.float()
            if len(values):  # what is absent has no channels either
                left = to_velocity(self.predicts, output, values, level, spread).float() - target.float()
            errors.append(left)
        return errors

    def _weighted(self, error: Tensor, stream: Stream) -> Tensor:
        """The mean over the picture's tokens to make, those of first latents counted first_weight times."""
        rows = stream.modality == Modality.VIDEO
        weight = torch.where(stream.coords[rows, 0] == 0, self.first_weight, 1.0) * stream.generate[rows]
        return (error * weight).sum() / weight.sum().clamp(min=1)

    def _of_lips(self, left: Tensor, stream: Stream) -> Tensor:
        """How far lips open otherwise than they should, in the mean over later latents that are to be made.

        left: the error of the clean picture [N, C]. Tokens count by their share of the lips; what is wrong for
        all of a clip is no matter of time, and taken out.
        """
        rows = stream.modality == Modality.VIDEO
        time, samples = stream.coords[rows, 0].long(), len(stream.counts)
        share = stream.focus[rows] * (stream.generate[rows] & (time != 0))
        latents = int(time.max()) + 1
        place = stream.sample[rows] * latents + time
        shares = share.new_zeros(samples * latents).index_add(0, place, share)
        along = share[:, None] * (left @ self.lips.to(left))
        sums = along.new_zeros(samples * latents, along.shape[1]).index_add(0, place, along)
        seen = (shares > LEAST_LIPS).unflatten(0, (samples, latents))[..., None]
        opening = (sums / shares.clamp(min=LEAST_LIPS)[:, None]).unflatten(0, (samples, latents)) * seen
        moved = (opening - opening.sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)) * seen
        return moved.square().mean(-1).sum() / seen.sum().clamp(min=1)

    @staticmethod
    def _of_twins(left: Iterable[Tensor], targets: Iterable[Tensor], stream: Stream) -> Tensor:
        """What is wrong of the difference between twins, over how large it is, in the mean over the pairs.

        left: the errors of the picture's and of the sound's velocity, targets: the velocities themselves, [N, C] each.
        """
        wrong, apart = (
            sum(_of_pairs(of, modality, stream) for of, modality in zip(parts, MADE, strict=True) if len(of))
            for parts in (left, targets)
        )
        return (wrong / (apart + LEAST_APART)).mean()

    @staticmethod
    def _of_tags(tags: Tensor | None, stream: Stream) -> Tensor:
        """Cross-entropy of the tags of tokens that are to be made, where it is known whom they show."""
        if tags is None:
            raise ValueError(
                "binding_weight is not 0, and the model has no slots; set objective.binding_weight=0"
            )
        rows = stream.modality == Modality.VIDEO
        known = stream.generate[rows] & (stream.shows[rows] > 0)
        if not known.any():
            return tags.sum() * 0
        return functional.cross_entropy(tags[known].float(), stream.shows[rows][known] - 1)

    def _of_terms(self, words: Tensor | None, stream: Stream) -> Tensor:
        """Cross-entropy of each term of a token's prompt against all that are not in it."""
        if words is None:
            raise ValueError(
                "term_weight is not 0, and the model reads no token ids; set objective.term_weight=0"
            )
        first, last = self.terms
        rows, said = stream.modality == Modality.VIDEO, (stream.text >= first) & (stream.text < last)
        asked = torch.zeros(len(stream.counts), last - first, dtype=torch.bool, device=words.device)
        asked[stream.sample[stream.modality == Modality.TEXT][said], stream.text[said] - first] = True
        asked = asked[stream.sample[rows]]
        logits = words[:, first:last].float()
        others = logits.masked_fill(asked, -torch.inf).logsumexp(1, keepdim=True)
        made = asked & stream.generate[rows][:, None]
        return (functional.softplus(others - logits) * made).sum() / made.sum().clamp(min=1)

    @staticmethod
    def _mean(error: Tensor, stream: Stream, modality: Modality, levels: Tensor) -> tuple[Tensor, Tensor]:
        rows = stream.modality == modality
        keep = stream.generate[rows].to(error.dtype)
        mean = (error * keep).sum() / keep.sum().clamp(min=1)
        bins = (levels[stream.sample[rows]] * LEVEL_BINS).long().clamp(max=LEVEL_BINS - 1)
        sums = error.new_zeros(LEVEL_BINS).index_add(0, bins, error.detach() * keep)
        hits = error.new_zeros(LEVEL_BINS).index_add(0, bins, keep)
        return mean, sums / torch.where(hits > 0, hits, torch.nan)


def _of_pairs(rows: Tensor, modality: Modality, stream: Stream) -> Tensor:
    """The mean square by which twins differ in what is to be made of a modality, [pairs]."""
    made = stream.generate[stream.modality == modality][:, None]
    return _by_twins(rows * made, stream).diff(dim=1).square().mean(dim=(1, 2, 3))


def _by_twins(rows: Tensor, stream: Stream) -> Tensor:
    """Rows of one modality, [N, C], as [pairs, 2, n, C]: twins have as many tokens as one another."""
    return rows.unflatten(0, (len(stream.counts) // 2, 2, -1))

"""Prompt and references in, a clip with its sound out.

B requests, T latent frames, h w latent grid, N audio tokens, C channels
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from horsekit import clock
from horsekit.adapters.references import (
    PictureLike,
    References,
    encode_picture,
    encode_references,
    read_references,
)
from horsekit.flow import SAMPLERS, Guidance, Step, combine, schedule, to_velocity
from horsekit.media import Clip, Picture, Sound
from horsekit.prompt import PromptError, checked, timed_lines
from horsekit.sequence import (
    Batch,
    Modality,
    Role,
    Segment,
    audio_segment,
    pack,
    text_segment,
    unpack,
    video_segment,
)
from horsekit.sequence import Sequence as TokenSequence
from horsekit.tokenizers import Tokenizers, load_tokenizers
from horsekit.transformer import UnifiedTransformer, load_transformer

CARD = "pipeline.json"


@dataclass(frozen=True)
class Settings:
    """What a released model was made for: picture size (height, width), longest clip, good sampler values."""

    size: tuple[int, int] = (64, 64)
    max_seconds: float = 2.56
    steps: int = 24
    shift: float = 3.0
    guidance: Guidance = Guidance()
    sampler: str = "unipc"

    @classmethod
    def open(cls, path: Path) -> "Settings":
        fields = json.loads(path.read_text())
        return cls(**{**fields, "size": tuple(fields["size"]), "guidance": Guidance(**fields["guidance"])})


@dataclass(frozen=True, eq=False)
class Request:
    """One clip to make.

    references: one item per character, in the order of the prompt's [Image 1], [Image 2], ...; an item is a
    picture, a path, or a list of pictures of the same character. first_frame opens the clip; sound drives
    it: the picture is made to fit what is heard.
    """

    prompt: str
    references: References = ()
    seconds: float = 1.28
    seed: int = 0
    first_frame: PictureLike | None = None
    sound: Sound | None = None


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a generation stands; `preview()` decodes the clip as the model sees it now."""

    index: int
    total: int
    preview: Callable[[], Clip] = field(repr=False)


class Pipeline:
    """A transformer with its tokenizers, ready to make clips."""

    def __init__(
        self, transformer: UnifiedTransformer, tokenizers: Tokenizers, settings: Settings, name: str = ""
    ) -> None:
        self.transformer = transformer.eval()
        self.tokenizers = tokenizers
        self.settings = settings
        self.name = name

    @classmethod
    def from_pretrained(cls, name: str | Path) -> "Pipeline":
        """Open a model that ships with horsekit, by name, or a folder of the same form.

        Errors: ValueError naming what is missing and which models there are.
        """
        folder = resolve_model(name)
        return cls(
            load_transformer(folder / "transformer"),
            load_tokenizers(folder),
            Settings.open(folder / CARD),
            name=str(name),
        )

    def generate(
        self,
        prompt: str,
        references: References = (),
        seconds: float = 1.28,
        seed: int = 0,
        *,
        first_frame: PictureLike | None = None,
        sound: Sound | None = None,
        steps: int | None = None,
        guidance: Guidance | None = None,
        callback: Callable[[Progress], None] | None = None,
    ) -> Clip:
        """Make one clip; see Request for the inputs. An exception raised by `callback` stops the work."""
        request = Request(prompt, references, seconds, seed, first_frame, sound)
        return self.generate_many([request], steps=steps, guidance=guidance, callback=callback)[0]

    @torch.inference_mode()
    def generate_many(
        self,
        requests: Sequence[Request],
        *,
        steps: int | None = None,
        guidance: Guidance | None = None,
        callback: Callable[[Progress], None] | None = None,
    ) -> list[Clip]:
        """Make several clips in one pass; each comes out as it would alone."""
        if not requests:
            return []
        guidance = guidance or self.settings.guidance
        sequences = [self._sequence(request) for request in requests]
        has_references = any(len(sequence.segments) > 3 for sequence in sequences)
        branches = guidance.branches(has_references)
        batches = [pack([self._told(s, b.text, b.references) for s in sequences]) for b in branches]
        memories = [self.transformer.remember(b.references) if b.references else None for b in batches]
        start = batches[0].main
        masks = [start.generate[start.modality == m, None] for m in (Modality.VIDEO, Modality.AUDIO)]
        spreads = (self.tokenizers.video.spread, self.tokenizers.audio.spread)
        state = self._noise(start, requests, masks)

        def velocity(state: tuple[Tensor, ...], sigma: float) -> tuple[Tensor, ...]:
            parts = []
            for batch, memory in zip(batches, memories, strict=True):
                moved = batch.replace(main=batch.main.replace(video=state[0], audio=state[1]))
                made = self.transformer(moved, memory)
                velocities = (
                    to_velocity(self.transformer.config.predicts, output, tokens, sigma, spread) * mask
                    for output, tokens, spread, mask in zip(
                        (made.video, made.audio), state, spreads, masks, strict=True
                    )
                )
                parts.append(tuple(velocities))
            return combine(branches, parts)

        def report(step: Step) -> None:
            if callback is not None:
                preview = lambda: self._decode(batches[0], step.denoised, requests)[0]  # noqa: E731
                callback(Progress(step.index, step.total, preview))

        levels = schedule(self.settings.steps if steps is None else steps, self.settings.shift)
        end = SAMPLERS[self.settings.sampler](velocity, state, levels, report)
        return self._decode(batches[0], end, requests)

    def _sequence(self, request: Request) -> TokenSequence:
        prompt = checked(request.prompt)
        slots = read_references(request.references, prompt)
        frames = self._frames(request)
        latents = clock.latent_count(frames)
        height, width = self.settings.size
        _, stride, _ = self.tokenizers.video.spec.strides
        grid = (latents, height // stride, width // stride, self.tokenizers.video.spec.dim)
        video = torch.zeros(grid)
        if request.first_frame is not None:
            picture = request.first_frame
            picture = picture if isinstance(picture, Picture) else Picture.open(picture)
            video[0] = encode_picture(picture, self.tokenizers.video, self.settings.size)[0]
        return TokenSequence(
            (
                video_segment(video, Role.GENERATE, given_latents=int(request.first_frame is not None)),
                self._audio(request, frames),
                self._words(prompt, clock.duration(frames)),
                *encode_references(slots, self.tokenizers.video, self.settings.size),
            )
        )

    def _words(self, prompt: str, seconds: float) -> Segment:
        for line in timed_lines(prompt):
            if line.end > seconds:
                raise PromptError(
                    f"a line is timed until {line.end:g} s, but the clip has {seconds:g} s; let it end earlier or "
                    "ask for a longer clip"
                )
        tokenizer = self.tokenizers.text
        ids = tokenizer.encode(prompt)
        return text_segment(
            torch.tensor(ids), torch.tensor(tokenizer.slots(ids)), times=tokenizer.positions(prompt)
        )

    def _audio(self, request: Request, frames: int) -> Segment:
        tokenizer = self.tokenizers.audio
        count = clock.audio_token_count(frames)
        if request.sound is None:
            return audio_segment(torch.zeros(count, tokenizer.spec.dim), Role.GENERATE)
        rate = tokenizer.spec.sample_rate
        samples = clock.sample_count(frames, rate)
        waveform = request.sound.mono().resampled(rate).waveform[:, 0]
        waveform = torch.nn.functional.pad(waveform, (0, max(0, samples - len(waveform))))[:samples]
        return audio_segment(tokenizer.encode(waveform[None])[0], Role.GIVEN)

    def _frames(self, request: Request) -> int:
        limit = self.settings.max_seconds
        if not 0 < request.seconds <= limit + 1e-6:
            raise ValueError(
                f"seconds is {request.seconds}; {self.name or 'this model'} makes clips of up to {limit:g} s"
            )
        return clock.frame_count(request.seconds)

    def _told(self, sequence: TokenSequence, text: bool, references: bool) -> TokenSequence:
        """The same sequence with its words or its pictures withheld."""
        video, audio, words, *pictures = sequence.segments
        if not text:
            words = text_segment(torch.tensor(self.tokenizers.text.empty))
        return TokenSequence((video, audio, words, *(pictures if references else ())))

    @staticmethod
    def _noise(stream, requests: Sequence[Request], masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Noise from each request's own seed where something is to be generated, the given tokens elsewhere."""
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        state = []
        for place, clean in ((0, stream.video), (1, stream.audio)):
            draws = [
                torch.randn(counts[place], clean.shape[1], generator=generator)
                for counts, generator in zip(stream.counts, generators, strict=True)
            ]
            state.append(torch.where(masks[place], torch.cat(draws).to(clean), clean))
        return state[0], state[1]

    def _decode(self, batch: Batch, state: tuple[Tensor, ...], requests: Sequence[Request]) -> list[Clip]:
        clips = []
        for (video, audio), request in zip(unpack(batch, *state), requests, strict=True):
            frames = self.tokenizers.video.decode(video[None])[0]
            waveform = self.tokenizers.audio.decode(audio[None])[0]
            if request.sound is not None:
                waveform = _driving(request.sound, waveform, self.tokenizers.audio.spec.sample_rate)
            clips.append(
                Clip(
                    frames=frames,
                    waveform=waveform[:, None],
                    sample_rate=self.tokenizers.audio.spec.sample_rate,
                )
            )
        return clips


def _driving(sound: Sound, decoded: Tensor, rate: int) -> Tensor:
    """The sound that was handed in, cut or padded to the clip: better than its way through the tokenizer."""
    waveform = sound.mono().resampled(rate).waveform[:, 0]
    return torch.nn.functional.pad(waveform, (0, max(0, len(decoded) - len(waveform))))[: len(decoded)]


def resolve_model(name: str | Path) -> Path:
    """The folder of a model: one that ships with horsekit, or any folder that holds a pipeline.json."""
    shipped = Path(str(files("horsekit"))) / "weights"
    for folder in (Path(name), shipped / str(name)):
        if (folder / CARD).is_file():
            return folder
    known = sorted(path.parent.name for path in shipped.glob(f"*/{CARD}"))
    raise ValueError(
        f"there is no model {str(name)!r}: give one of {known}, or a folder that holds {CARD} beside "
        "transformer/, text/, video/ and audio/"
    )

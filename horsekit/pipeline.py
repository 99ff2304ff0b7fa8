"""Prompt and references in, a clip with its sound out.

B requests, T latent frames, h w latent grid, N audio tokens, C channels
"""

import json
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from horsekit.adapters.references import PictureLike, References, SoundLike
from horsekit.character import concerns
from horsekit.flow import SAMPLERS, Branch, Guidance, Step, combine, renewed, schedule, to_velocity
from horsekit.media import Clip, Sound
from horsekit.request import Canvas, Request, open_canvas
from horsekit.sequence import Modality, Stream, pack, unpack, words_segment
from horsekit.sequence import Sequence as TokenSequence
from horsekit.tokenizers import Tokenizers, load_tokenizers
from horsekit.transformer import TransformerConfig, UnifiedTransformer, load_transformer
from horsekit.transformer.precision import fast_bf16

CARD = "pipeline.json"
IDLE = "the adapter acts on clips with references alone; hand in pictures of its character"


@dataclass(frozen=True)
class Settings:
    """What a released model was made for: picture size (height, width), longest clip, good sampler values.

    renew_above: the noise level above which every step draws its noise anew (1: none does); rendered: it knows
    characters of the stage alone, so that horsekit's own reader can tell who is in a picture; languages: that it
    speaks, by their English names (none: not known).
    """

    size: tuple[int, int] = (64, 64)
    max_seconds: float = 2.56
    steps: int = 24
    shift: float = 3.0
    guidance: Guidance = Guidance()
    sampler: str = "unipc"
    renew_above: float = 1.0
    rendered: bool = False
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        right = {
            "steps": (isinstance(self.steps, int) and self.steps >= 1, "at least 1"),
            "shift": (_is_number(self.shift) and self.shift > 0, "a number above 0"),
            "sampler": (self.sampler in SAMPLERS, f"one of {', '.join(SAMPLERS)}"),
            "renew_above": (_is_number(self.renew_above) and 0 <= self.renew_above <= 1, "from 0 to 1"),
        }
        for name, (fits, what) in right.items():
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give {what}")

    @classmethod
    def open(cls, path: Path) -> "Settings":
        fields = json.loads(path.read_text())
        rows = {key: tuple(fields[key]) for key in ("size", "languages") if key in fields}
        return cls(**{**fields, **rows, "guidance": Guidance(**fields["guidance"])})


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a generation stands; `preview()` decodes the clip as the model sees it now."""

    index: int
    total: int
    preview: Callable[[], Clip] = field(repr=False)


class Pipeline:
    """A transformer with its tokenizers, ready to make clips.

    The transformer may be on a GPU, the tokenizers work on the CPU. What several threads ask for is done one after the
    other, so that nobody changes the adapters under a clip that is being made.
    """

    def __init__(
        self, transformer: UnifiedTransformer, tokenizers: Tokenizers, settings: Settings, name: str = ""
    ) -> None:
        check_fit(transformer.config, tokenizers)
        self.transformer = transformer.eval()
        self.tokenizers = tokenizers
        self.settings = settings
        self.name = name
        self.adapters: list[dict[str, str]] = []
        self._turn = threading.RLock()

    @property
    def device(self) -> torch.device:
        """Where the transformer is."""
        return self.transformer.final_linear_video.weight.device

    @classmethod
    def from_pretrained(cls, name: str | Path) -> "Pipeline":
        """Open a model that ships with horsekit, by name, or a folder of the same form.

        Errors: ValueError naming what is missing and which models there are, or what does not fit together.
        """
        folder = resolve_model(name)
        return cls(
            load_transformer(folder / "transformer"),
            load_tokenizers(folder),
            Settings.open(folder / CARD),
            name=str(name),
        )

    def adapt(self, *adapters: Path | str | tuple[Path | str, float]) -> None:
        """Put adapters on the transformer, in place of any it carries; their updates add up. None: take them off.

        Each is a file, or a file and how strongly it acts (1: as trained). One of all tokens acts on every clip,
        others on clips with references. Warns where the rights to a character have ended or nobody's consent is
        named. Errors: CheckpointError naming a file that does not fit.
        """
        from horsekit.adapters.lora import stack_adapters

        stack = [(a, 1.0) if isinstance(a, (str, Path)) else a for a in adapters]
        with self._turn:
            self.adapters = stack_adapters(self.transformer, stack)
        for (path, _), about in zip(stack, self.adapters, strict=True):
            for concern in concerns(about, f"{path}: rights"):
                warnings.warn(concern, stacklevel=2)

    def generate(
        self,
        prompt: str,
        references: References = (),
        seconds: float = 1.28,
        seed: int = 0,
        *,
        first_frame: PictureLike | None = None,
        last_frame: PictureLike | None = None,
        sound: Sound | None = None,
        film: Clip | None = None,
        before: Clip | None = None,
        voices: Sequence[SoundLike | None] = (),
        steps: int | None = None,
        guidance: Guidance | None = None,
        callback: Callable[[Progress], None] | None = None,
    ) -> Clip:
        """Make one clip; see Request for the inputs. An exception raised by `callback` stops the work.

        Warns where an adapter is on that acts on clips with references, and there are none.
        """
        request = Request(
            prompt, references, seconds, seed, first_frame, last_frame, sound, film, before, voices
        )
        if self.idle(bool(references)):
            warnings.warn(IDLE, stacklevel=2)
        return self.generate_many([request], steps=steps, guidance=guidance, callback=callback)[0]

    def idle(self, referenced: bool) -> bool:
        """Whether an adapter is on that does nothing for a clip with references, or for one without."""
        return self._acting(referenced) != self.adapters

    @torch.inference_mode()
    def generate_many(
        self,
        requests: Sequence[Request],
        *,
        steps: int | None = None,
        guidance: Guidance | None = None,
        callback: Callable[[Progress], None] | None = None,
    ) -> list[Clip]:
        """Make several clips in one pass; each comes out as it would alone.

        What is longer than the model's clips is made in windows, each opening with the end of the one before.
        """
        if not requests:
            return []
        with self._turn:
            return self._generated(
                [self._opened(request) for request in requests],
                schedule(self.settings.steps if steps is None else steps, self.settings.shift),
                guidance or self.settings.guidance,
                callback,
            )

    def _generated(
        self,
        canvases: Sequence[Canvas],
        levels: Tensor,
        guidance: Guidance,
        callback: Callable[[Progress], None] | None,
    ) -> list[Clip]:
        """The canvases' clips, window after window."""
        passes = [
            (number, [canvas for canvas in party if len(canvas.windows) > number])
            for party in self._parties(canvases)
            for number in range(max(len(canvas.windows) for canvas in party))
        ]
        for place, (number, active) in enumerate(passes):
            spans = [canvas.windows[number] for canvas in active]

            def report(step: Step, active=active, spans=spans, place=place) -> None:
                if callback is not None:
                    index, count = place * step.total + step.index, len(passes) * step.total
                    callback(Progress(index, count, lambda: self._preview(active[0], spans[0], step)))

            with self._adapted(active[0]):
                made = self._made(active, spans, levels, guidance, report)
            for canvas, span, (video, audio) in zip(active, spans, made, strict=True):
                canvas.put(span, video, audio)
        return [replace(canvas.clip(self.tokenizers), metadata=self._about(canvas)) for canvas in canvases]

    def _parties(self, canvases: Sequence[Canvas]) -> list[list[Canvas]]:
        """Canvases on which all adapters act, and those on which only some do."""
        known = [canvas for canvas in canvases if not self.idle(canvas.referenced)]
        unknown = [canvas for canvas in canvases if canvas not in known]
        return [party for party in (known, unknown) if party]

    def _acting(self, referenced: bool) -> list[dict[str, str]]:
        """The adapters that act on a clip with references, or on one without."""
        return self.adapters if referenced else [about for about in self.adapters if about["scope"] == "all"]

    def _adapted(self, canvas: Canvas) -> AbstractContextManager:
        """Within, the adapters act that act on a canvas."""
        if not self.idle(canvas.referenced):
            return nullcontext()
        from horsekit.adapters.lora import resting

        return resting(self.transformer)

    def _made(
        self,
        canvases: Sequence[Canvas],
        spans: Sequence[tuple[int, int]],
        levels: Tensor,
        guidance: Guidance,
        report: Callable[[Step], None],
    ) -> list[tuple[Tensor, Tensor]]:
        """Video and audio latents of one window of each canvas."""
        sequences = [canvas.sequence(s, self.tokenizers) for canvas, s in zip(canvases, spans, strict=True)]
        pictured, heard = (any(of) for of in zip(*((c.pictures, c.voices) for c in canvases), strict=True))
        start = pack(sequences).main.to(self.device)
        masks = [start.generate[start.modality == m, None] for m in (Modality.VIDEO, Modality.AUDIO)]
        if not masks[0].any():
            guidance = replace(guidance, sync=1.0)
        branches = guidance.branches(pictured, heard)
        asked = [*zip(sequences, canvases, spans, strict=True)]
        batches = [pack([self._told(branch, *one) for one in asked]).to(self.device) for branch in branches]
        with self._products():
            memories = [self.transformer.remember(b.references) if b.references else None for b in batches]
        spreads = (self.tokenizers.video.spread, self.tokenizers.audio.spread)
        sources = [canvas.noise for canvas in canvases]
        noise = self._noise(start, sources)

        def velocity(state: tuple[Tensor, ...], sigma: float) -> tuple[Tensor, ...]:
            parts = []
            for branch, batch, memory in zip(branches, batches, memories, strict=True):
                sound = state[1] if branch.sound else noise[1]
                moved = batch.replace(main=batch.main.replace(video=state[0], audio=sound))
                with self._products():
                    made = self.transformer(moved, memory)
                velocities = (
                    to_velocity(self.transformer.config.predicts, output, tokens, sigma, spread) * mask
                    for output, tokens, spread, mask in zip(
                        (made.video, made.audio), state, spreads, masks, strict=True
                    )
                )
                parts.append(tuple(velocities))
            return combine(branches, parts, sigma >= guidance.sound_above)

        def placed(noise: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            clean = (start.video, start.audio)
            return tuple(torch.where(m, n, c) for m, n, c in zip(masks, noise, clean, strict=True))

        sampler = renewed(
            SAMPLERS[self.settings.sampler],
            lambda: placed(self._noise(start, sources)),
            self.settings.renew_above,
        )
        made = sampler(velocity, placed(noise), levels, report)
        return unpack(batches[0], *(part.cpu() for part in made))

    def _products(self) -> torch.autocast:
        """Products in bfloat16 where those are faster; a model that names its own precision keeps it."""
        free = self.transformer.config.params_dtype == "float32"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=free and fast_bf16(self.device))

    def _preview(self, canvas: Canvas, span: tuple[int, int], step: Step) -> Clip:
        """The first clip as the model sees it now."""
        video, audio = (part[:n].cpu() for part, n in zip(step.denoised, canvas.sizes(span), strict=True))
        seen = canvas.copied()
        seen.put(span, video.unflatten(0, (-1, *canvas.video.shape[1:3])), audio)
        return seen.clip(self.tokenizers)

    def check(self, request: Request) -> None:
        """Find out that a clip can be made of a request, without making it. Errors: as generate_many."""
        self._opened(request)

    def _opened(self, request: Request) -> Canvas:
        settings = self.settings
        return open_canvas(request, self.tokenizers, settings.size, settings.max_seconds, settings.languages)

    def _about(self, canvas: Canvas) -> dict[str, str]:
        """What a clip says of itself: how to make it again, and whose characters are in it."""
        about = {"prompt": canvas.request.prompt, "seed": str(canvas.request.seed), "model": self.name}
        for key in ("character", "card"):
            values = [adapter[key] for adapter in self._acting(canvas.referenced) if key in adapter]
            about |= {key: ", ".join(values)} if values else {}
        return about

    def _told(
        self, branch: Branch, sequence: TokenSequence, canvas: Canvas, span: tuple[int, int]
    ) -> TokenSequence:
        """The sequence of a canvas' window with its words, some of them, its pictures or its voices withheld."""
        video, audio, words, *known = sequence.segments
        if not branch.text:
            words = words_segment("", self.tokenizers.text)
        elif not branch.direction:
            words = canvas.undirected(span, self.tokenizers)
        told = {Modality.VIDEO: branch.references, Modality.AUDIO: branch.voices}
        return TokenSequence((video, audio, words, *(part for part in known if told[part.modality])))

    @staticmethod
    def _noise(stream: Stream, sources: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Noise from each request's own seed, for every token of the picture and of the sound.

        Drawn for the picture of all, then for the sound, so that a clip is the same in any company.
        """
        noise = []
        for place, clean in ((0, stream.video), (1, stream.audio)):
            draws = [
                torch.randn(counts[place], clean.shape[1], generator=source)
                for counts, source in zip(stream.counts, sources, strict=True)
            ]
            noise.append(torch.cat(draws).to(clean))
        return noise[0], noise[1]


def check_fit(config: TransformerConfig, tokenizers: Tokenizers) -> None:
    """Find out that a transformer takes what the tokenizers make. Errors: ValueError naming what does not fit."""
    if config.patch != (1, 1, 1) or config.text_vocab_size is None:
        raise ValueError(
            f"the model takes patches of {config.patch} latents and {'ids' if config.text_vocab_size else 'states'} of "
            "words: it can be loaded and run on packed batches, but neither trained nor asked for clips through the "
            "native tokenizers; choose a model with patch (1, 1, 1) and text_vocab_size"
        )
    video, audio, words = tokenizers.video.spec.dim, tokenizers.audio.spec.dim, tokenizers.text.vocab_size
    if (video, audio) != (
        config.video_in_channels,
        config.audio_in_channels,
    ) or words > config.text_vocab_size:
        raise ValueError(
            f"the tokenizers make {video} channels of video, {audio} of sound and {words} kinds of words, the model "
            f"takes {config.video_in_channels}, {config.audio_in_channels} and up to {config.text_vocab_size}; use the "
            "tokenizers that the model was trained with, or train one for these"
        )


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

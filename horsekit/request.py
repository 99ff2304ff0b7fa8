"""What is asked of a pipeline, and the canvas on which it is made, a window at a time.

T latent frames, h w latent grid, N audio tokens, C channels
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from horsekit import clock
from horsekit.adapters.references import (
    PictureLike,
    References,
    SoundLike,
    encode_picture,
    encode_references,
    encode_voices,
    read_references,
)
from horsekit.dialogue import PAUSE, timed
from horsekit.direction import check_directions, check_line
from horsekit.excerpt import excerpt
from horsekit.media import Clip, Picture, Sound
from horsekit.prompt import (
    DIRECTIONS,
    PromptError,
    checked,
    is_said,
    may_speak,
    quoted,
    timed_lines,
    without_layers,
)
from horsekit.sequence import Segment, audio_segment, video_segment, words_segment
from horsekit.sequence import Sequence as TokenSequence
from horsekit.tokenizers import Tokenizers

OVERLAP = 5  # latents of one window that open the next: as many as half a clip of training has
TOO_LONG = 0.1  # seconds of a sound that may be lost at its end without a word


@dataclass(frozen=True, eq=False)
class Request:
    """One clip to make.

    references: one item per character, in the order of the prompt's [Image 1], [Image 2], ...; an item is a
    picture, a path, or a list of pictures of the same character. first_frame opens the clip, last_frame ends
    it; sound drives it: the picture is made to fit what is heard; film is a clip whose picture stays as it is
    and gets a sound, for as long as it lasts; before is a clip that goes on, `seconds` longer, and a sound then drives
    what is new; voices: a few seconds
    of each character's speech, in the order of the references, None for one without; those alone are handed to the
    model who say a line in the prompt, or all where a line's speaker is not named.
    """

    prompt: str
    references: References = ()
    seconds: float = 1.28
    seed: int = 0
    first_frame: PictureLike | None = None
    last_frame: PictureLike | None = None
    sound: Sound | None = None
    film: Clip | None = None
    before: Clip | None = None
    voices: Sequence[SoundLike | None] = ()

    def __post_init__(self) -> None:
        whole = [name for name in ("sound", "film") if getattr(self, name) is not None]
        if len(whole) == 2:
            raise ValueError("sound and film were both given, which leaves nothing to make; give one of them")
        for given, others in (
            ("film", ("first_frame", "last_frame", "before")),
            ("before", ("first_frame",)),
        ):
            for name in others if getattr(self, given) is not None else ():
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} was given beside {given}, which says it already; leave it out")


@dataclass(eq=False)
class Canvas:
    """A clip in the making.

    video [T, h, w, C] and audio [N, C] latents; seen [T] and heard [N]: which of them are given, at first by
    the request, then by every window that is made; prompt: the words for the whole clip; pictures, voices: the
    reference segments; kept: the clip that was handed in to go on from; noise: where all randomness comes from.
    """

    request: Request
    prompt: str
    video: Tensor
    audio: Tensor
    seen: Tensor
    heard: Tensor
    pictures: tuple[Segment, ...]
    voices: tuple[Segment, ...]
    windows: tuple[tuple[int, int], ...]
    kept: Clip | None
    noise: torch.Generator

    @property
    def frames(self) -> int:
        """Frames of the whole clip."""
        return clock.latent_frames(len(self.video))

    @property
    def referenced(self) -> bool:
        """Whether anybody's pictures or voice were handed in."""
        return bool(self.pictures or self.voices)

    def sequence(self, window: tuple[int, int], tokenizers: Tokenizers) -> TokenSequence:
        """A window's tokens on a clock of its own, what is there already given."""
        first, last = window
        video, sound = self.video[first:last].clone(), self._tokens(window)
        if first:  # a window opens with one frame alone, as every clip does
            past = tokenizers.video.decoder_reach[0]
            start = 0 if past is None else max(0, first - 1 - past)
            shown = tokenizers.video.decode(self.video[None, start : first + 1])[:, -1:]
            video[0] = tokenizers.video.encode(shown)[0, 0]
        words = self._words(window)
        return TokenSequence(
            (
                video_segment(video, given=self.seen[first:last]),
                audio_segment(self.audio[sound], given=self.heard[sound]),
                words_segment(words, tokenizers.text),
                *self.pictures,
                # what is not handed in can't be taken for the speaker's
                *(voice for voice in self.voices if may_speak(words, int(voice.slots[0]))),
            )
        )

    def undirected(self, window: tuple[int, int], tokenizers: Tokenizers) -> Segment:
        """A window's words without those on camera and light."""
        return words_segment(without_layers(self._words(window), DIRECTIONS), tokenizers.text)

    def put(self, window: tuple[int, int], video: Tensor, audio: Tensor) -> None:
        """Keep what was made of a window; what was given stays as it was."""
        (first, last), sound = window, self._tokens(window)
        new, unheard = ~self.seen[first:last], ~self.heard[sound]
        self.video[first:last][new] = video[new]
        self.audio[sound][unheard] = audio[unheard]
        self.seen[first:last] = True
        self.heard[sound] = True

    def sizes(self, window: tuple[int, int]) -> tuple[int, int]:
        """Video and audio tokens of a window."""
        sound = self._tokens(window)
        return (window[1] - window[0]) * self.video[0, ..., 0].numel(), sound.stop - sound.start

    def copied(self) -> "Canvas":
        """The canvas as it stands, to be drawn on without harm."""
        names = ("video", "audio", "seen", "heard")
        return replace(self, **{name: getattr(self, name).clone() for name in names})

    def clip(self, tokenizers: Tokenizers) -> Clip:
        """The clip as it stands, with what was handed in as it was handed in."""
        rate = tokenizers.audio.spec.sample_rate
        frames = tokenizers.video.decode(self.video[None])[0]
        waveform = tokenizers.audio.decode(self.audio[None])[0]
        if self.request.sound is not None:
            waveform = _driving(self.request, self.kept, len(waveform), rate)
        if self.kept is not None:
            frames[: len(self.kept.frames)] = self.kept.frames[: len(frames)]
            if self.request.film is None:
                waveform = _joined(self.kept.waveform[:, 0], waveform, rate // 50)
        return Clip(frames=frames, waveform=waveform[:, None], sample_rate=rate)

    def _tokens(self, window: tuple[int, int]) -> slice:
        """The audio tokens of a window: one for each of its frames."""
        first, last = (clock.latent_frames(n + 1) - 1 for n in (window[0], window[1] - 1))
        return slice(first, last + 1)

    def _words(self, window: tuple[int, int]) -> str:
        if len(self.windows) == 1:
            return self.prompt
        tokens = self._tokens(window)
        return excerpt(self.prompt, clock.duration(tokens.start), clock.duration(tokens.stop))


@torch.inference_mode()
def open_canvas(
    request: Request,
    tokenizers: Tokenizers,
    size: tuple[int, int],
    max_seconds: float,
    languages: Sequence[str] = (),
) -> Canvas:
    """Everything a request gives, on its canvas.

    size: (height, width); max_seconds: of one window; languages: that the model speaks, none: any.
    Warns of a sound that goes on after the clip's end. Errors: PromptError, ReferenceError, MediaError or ValueError,
    naming what cannot be used and the remedy.
    """
    prompt = checked(request.prompt)
    slots = read_references(request.references, prompt)
    pictures = encode_references(slots, tokenizers.video, size)
    voices = encode_voices(request.voices, len(slots), tokenizers.audio)
    kept = _kept(request, size, tokenizers.audio.spec.sample_rate)
    latents = _latents(request, kept)
    frames = clock.latent_frames(latents)
    _, stride, _ = tokenizers.video.spec.strides
    video = torch.zeros(latents, size[0] // stride, size[1] // stride, tokenizers.video.spec.dim)
    audio = torch.zeros(clock.audio_token_count(frames), tokenizers.audio.spec.dim)
    seen, heard = torch.zeros(len(video), dtype=torch.bool), torch.zeros(len(audio), dtype=torch.bool)
    for place, picture in ((0, request.first_frame), (-1, request.last_frame)):
        if picture is not None:
            video[place], seen[place] = _still(picture, place, tokenizers, size), True
    if kept is not None:
        known = tokenizers.video.encode(kept.frames[None])[0]
        video[: len(known)], seen[: len(known)] = known, True
        if request.before is not None:
            tokens = tokenizers.audio.encode(kept.waveform[None, :, 0])[0]
            audio[: len(tokens)], heard[: len(tokens)] = tokens, True
    if request.sound is not None:
        rate = tokenizers.audio.spec.sample_rate
        driving = _driving(request, kept, clock.sample_count(frames, rate), rate)
        audio, heard = tokenizers.audio.encode(driving[None])[0], torch.ones_like(heard)
    spans = windows(latents, clock.latent_count(clock.frame_count(max_seconds)))
    seconds, begin = clock.duration(frames), 0.0 if request.before is None else kept.seconds
    _check_lines(prompt, seconds)
    check_directions(prompt, seconds - begin, languages)
    if request.sound is None and request.film is None:
        prompt = _all_timed(prompt, seconds, begin)
    elif len(spans) > 1:  # when they are said, what was handed in decides; this is a guess at their window
        prompt = timed(prompt, seconds, begin)
    if request.sound is not None and request.sound.seconds > seconds - begin + TOO_LONG:
        warnings.warn(
            f"the sound has {request.sound.seconds:.2f} s and is cut to {seconds - begin:.2f} s, as long as the clip "
            "is; ask for more seconds to hear all of it",
            stacklevel=2,
        )
    noise = torch.Generator().manual_seed(request.seed)
    return Canvas(
        request, prompt, video, audio, seen, heard, tuple(pictures), tuple(voices), spans, kept, noise
    )


def windows(latents: int, most: int) -> tuple[tuple[int, int], ...]:
    """Parts [first, last) of T latents, none longer than `most`, each opening with OVERLAP of those before it."""
    spans = [(0, min(latents, most))]
    while spans[-1][1] < latents:
        first = spans[-1][1] - min(OVERLAP, most - 1)
        spans.append((first, min(latents, first + most)))
    return tuple(spans)


def _kept(request: Request, size: tuple[int, int], rate: int) -> Clip | None:
    """The clip whose picture stays, as the model takes it, without frames at its end that fill no latent."""
    clip = request.film or request.before
    if clip is None:
        return None
    held = clip.conformed(*size, sample_rate=rate)
    return held.conformed(*size, clock.whole_frames(len(held.frames)), rate)


def _latents(request: Request, kept: Clip | None) -> int:
    """How many latents the whole clip has."""
    if request.film is not None:
        return clock.latent_count(len(kept.frames))
    wanted = clock.latent_count(clock.frame_count(request.seconds))
    return wanted if kept is None else clock.latent_count(len(kept.frames)) + wanted - 1


def _still(picture: PictureLike, place: int, tokenizers: Tokenizers, size: tuple[int, int]) -> Tensor:
    """The latent [h, w, C] of a picture as the first frame (place 0), or held as the last ones."""
    picture = picture if isinstance(picture, Picture) else Picture.open(picture)
    if place == 0:
        return encode_picture(picture, tokenizers.video, size)[0]
    held = picture.fitted(*size).pixels.expand(1 + clock.FRAMES_PER_LATENT, -1, -1, -1)
    return tokenizers.video.encode(held[None])[0, -1]


def _check_lines(prompt: str, seconds: float) -> None:
    for line in timed_lines(prompt):
        if line.end > seconds + 1e-6:
            raise PromptError(
                f"a line is timed until {line.end:g} s, but the clip has {seconds:g} s; let it end earlier or "
                "ask for a longer clip"
            )


def _all_timed(prompt: str, seconds: float, begin: float) -> str:
    """The prompt with a time between `begin` and `seconds` for every line.

    Errors: PromptError where none is left for one, or too little.
    """
    told = timed(prompt, seconds, begin)
    given = {prompt[line.first : line.last] for line in timed_lines(prompt)}
    known = {line.first: line.end - line.start for line in timed_lines(told)}
    for first, last in quoted(told):
        words = told[first:last]
        if first not in known and is_said(told, first):
            raise PromptError(
                f"no time is left for {words!r} behind the lines before it and until its shot, the clip or the next "
                "line's time ends; shorten the lines or ask for more seconds"
            )
        if first in known and words not in given:  # at a pinch it begins without a pause
            check_line(words, known[first] + PAUSE)
    return told


def _driving(request: Request, kept: Clip | None, samples: int, rate: int) -> Tensor:
    """The sound [S] that was handed in, behind that of a clip to go on from, cut or padded to the clip."""
    waveform = request.sound.mono().resampled(rate).waveform[:, 0]
    if request.before is not None:
        waveform = torch.cat([kept.waveform[:, 0], waveform])
    return torch.nn.functional.pad(waveform, (0, max(0, samples - len(waveform))))[:samples]


def _joined(before: Tensor, whole: Tensor, fade: int) -> Tensor:
    """A sound [S] that goes on as the decoded `whole` does where the one handed in ends, over `fade` samples."""
    waveform, ramp = whole.clone(), torch.linspace(1, 0, fade)
    waveform[: len(before)] = before
    edge = slice(len(before) - fade, len(before))
    waveform[edge] = ramp * before[edge] + (1 - ramp) * whole[edge]
    return waveform

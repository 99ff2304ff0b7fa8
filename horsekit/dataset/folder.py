"""A folder of clips and pictures as latents, kept in a cache that cannot go stale.

The folder follows the Hugging Face VideoFolder convention: metadata.jsonl with one object per clip or picture, its
`file_name` beside it and its `prompt`.

R reference pictures, h w latent grid, C channels
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.character import CharacterClip, read_clips
from horsekit.dataset.sample import LatentSample
from horsekit.excerpt import excerpt
from horsekit.media import Clip, Picture, Sound, replacing
from horsekit.prompt import mentions, normalised, without_layers
from horsekit.sequence import MAX_VOICE
from horsekit.tokenizers import Tokenizers, voice_sample

LATENTS = Path("cache") / "latents"  # below the repository
MAX_SECONDS = 2.56  # what is longer is cut into pieces
LEAST_SECONDS = 0.4  # what is left over at the end, if shorter, is dropped
QUIET = -50.0  # dB of full scale, root mean square: a track below it is one without sound
IN_TIME = ("action", "dialogue", "camera", "sound")  # layers of a prompt that no single frame shows


class LatentCache:
    """Latents of files by what they depend on: content, tokenizer weights and size.

    side: what is to be made keeps its shape, and about as many pixels as a square of this side.
    """

    def __init__(self, folder: Path, tokenizers: Tokenizers, side: int) -> None:
        self.folder = folder
        self.tokenizers = tokenizers
        self.side = side

    def clip(self, path: Path) -> list[tuple[Tensor, Tensor | None]]:
        """Of each piece of a clip, video latents [T, h, w, C] and audio latents [N, C], None without sound or
        with an empty track.

        The clip is put on the clock; up to three frames at the end of a piece that fill no latent are left out.
        """
        stored = self._stored(path, lambda: self._encode_clip(Clip.open(path)))
        count = sum(key.startswith("video") for key in stored)
        return [(stored[f"video.{k}"], stored.get(f"audio.{k}")) for k in range(count)]

    def stills(self, path: Path, count: int) -> tuple[Tensor, Tensor]:
        """Latents [n, 1, h, w, C] of single frames, evenly over a clip, and when they are shown, [n] in seconds.

        n is `count`, or all frames of a clip that has fewer.
        """
        stored = self._stored(path, lambda: self._encode_stills(Clip.open(path), count), f"stills {count}")
        return stored["video"], stored["seconds"]

    def picture(self, path: Path) -> Tensor:
        """Latents [1, h, w, C] of a picture that is to be made."""
        return self._stored(path, lambda: self._encode_picture(path, square=False))["video"]

    def reference(self, path: Path) -> Tensor:
        """Latents [1, h, w, C] of a picture to know a character by: a square, as the pipeline takes it."""
        return self._stored(path, lambda: self._encode_picture(path, square=True), "reference")["video"]

    def voice(self, path: Path) -> Tensor:
        """Audio latents [N, C] of somebody's speech, the first four seconds at most."""
        return self._stored(path, lambda: self._encode_voice(path), "voice")["audio"]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The height and width at which what has that shape is encoded."""
        return fitting_size(height, width, self.side, self.tokenizers.video.spec.strides[1])

    @torch.inference_mode()
    def _encode_clip(self, clip: Clip) -> dict[str, Tensor]:
        rate, size = self.tokenizers.audio.spec.sample_rate, self.size(*clip.frames.shape[1:3])
        held, heard = clip.conformed(*size, sample_rate=rate), is_heard(clip)
        latents = {}
        for number, (first, last) in enumerate(piece_spans(len(held.frames))):
            video = self.tokenizers.video.encode(held.frames[None, first:last])
            latents[f"video.{number}"] = video[0].contiguous()
            if heard:
                sound = held.waveform[clock.sample_count(first, rate) : clock.sample_count(last, rate), 0]
                latents[f"audio.{number}"] = self.tokenizers.audio.encode(sound[None])[0].contiguous()
        return latents

    @torch.inference_mode()
    def _encode_stills(self, clip: Clip, count: int) -> dict[str, Tensor]:
        frames = clip.conformed(*self.size(*clip.frames.shape[1:3])).frames
        taken = still_frames(len(frames), count)
        video = self.tokenizers.video.encode(frames[taken, None])
        return {"video": video.contiguous(), "seconds": clock.frame_times(len(frames))[taken]}

    @torch.inference_mode()
    def _encode_picture(self, path: Path, square: bool) -> dict[str, Tensor]:
        picture = Picture.open(path)
        size = (self.side, self.side) if square else self.size(*picture.pixels.shape[:2])
        pixels = picture.fitted(*size).pixels
        return {"video": self.tokenizers.video.encode(pixels[None, None])[0].contiguous()}

    @torch.inference_mode()
    def _encode_voice(self, path: Path) -> dict[str, Tensor]:
        tokenizer = self.tokenizers.audio
        try:
            waveform = voice_sample(Sound.open(path), tokenizer.spec, MAX_VOICE)
        except ValueError as error:
            raise ValueError(f"the voice in {path} {error}") from error
        return {"audio": tokenizer.encode(waveform[None])[0][:MAX_VOICE].contiguous()}

    def _stored(
        self, path: Path, encode: Callable[[], dict[str, Tensor]], use: str = ""
    ) -> dict[str, Tensor]:
        """What is known of a file, encoded now if nothing is."""
        digest = hashlib.sha256(path.read_bytes())
        settings = (
            f"{self.tokenizers.digest} {self.side} {MAX_SECONDS} {LEAST_SECONDS} {QUIET} {MAX_VOICE} {use}"
        )
        digest.update(settings.encode())
        file = self.folder / f"{digest.hexdigest()}.safetensors"
        if not file.is_file():
            latents = encode()
            with replacing(file) as draft:
                save_file(latents, draft)
            return latents
        with safe_open(file, framework="pt") as tensors:
            return {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118


def loudness(waveform: Tensor) -> float:
    """Of a sound [S, channels], in dB of full scale."""
    return 20 * waveform.square().mean().sqrt().clamp(min=1e-6).log10().item()


def is_heard(clip: Clip) -> bool:
    """Whether a clip has a sound to learn: an empty track is no silence that somebody asked for."""
    return clip.has_sound and loudness(clip.waveform) >= QUIET


def piece_spans(frames: int) -> list[tuple[int, int]]:
    """The frames [first, last) of each piece of F frames on the clock."""
    most, least = clock.frame_count(MAX_SECONDS), clock.frame_count(LEAST_SECONDS)
    starts = [a for a in range(0, frames, most) if a == 0 or frames - a >= least]
    return [(a, a + clock.whole_frames(min(most, frames - a))) for a in starts]


def still_frames(frames: int, count: int) -> list[int]:
    """Which of F frames, in the middles of as many equal parts, are taken for stills."""
    parts = min(frames, count)
    return [(2 * k + 1) * frames // (2 * parts) for k in range(parts)]


def fitting_size(height: int, width: int, side: int, stride: int) -> tuple[int, int]:
    """The size in whole strides, of no more pixels than side², nearest to height : width without losing many pixels."""
    cells = max(1, side // stride) ** 2

    def loss(shape: tuple[int, int]) -> float:
        away = abs(math.log(shape[0] * width / (shape[1] * height)))
        return away + 0.5 * math.log(cells / (shape[0] * shape[1]))

    h, w = min(((h, w) for h in range(1, cells + 1) for w in range(1, cells // h + 1)), key=loss)
    return h * stride, w * stride


def encode_folder(
    folder: Path,
    pictures: Sequence[Path],
    cache: LatentCache,
    voice: Path | None = None,
    stills: int = 0,
    looks: Mapping[str, Sequence[Path]] = MappingProxyType({}),
) -> list[LatentSample]:
    """All clips and pictures of a folder, with the `pictures` and the `voice` as references of slot 1.

    looks: the pictures, in place of those, for lines with a `look` of that name; stills: so many frames of each clip
    are pictures to learn from as well, in what its words say of a single frame.
    What has no sound trains the picture alone, and is named. Errors: ValueError for a folder that lists nothing;
    CharacterError for a broken line; MediaError for a clip or picture that cannot be read.
    """
    entries = list(read_clips(folder))
    if not entries:
        raise ValueError(f"{folder} lists no clip in its metadata.jsonl; add at least one")
    known = {look: _slot(paths, cache) for look, paths in {None: pictures, **looks}.items()}
    voices = {} if voice is None else {1: cache.voice(voice)}
    samples, silent = [], []
    for entry in tqdm(entries, desc="encoding", unit="file"):
        entry = replace(entry, prompts=tuple(map(normalised, entry.prompts)))
        references = known.get(entry.look, known[None])
        pieces = encode_entry(entry, references, cache)
        samples += [replace(piece, voices=voices if piece.audio is not None else {}) for piece in pieces]
        if any(piece.audio is None for piece in pieces) and not entry.is_picture:
            silent.append(entry.path.name)
        if stills and not entry.is_picture:
            samples += encode_stills(entry, references, cache, stills)
    if silent:
        print(f"without sound, training the picture alone: {', '.join(silent)}")
    return samples


def _slot(pictures: Sequence[Path], cache: LatentCache) -> dict[int, Tensor]:
    return {1: torch.cat([cache.reference(path) for path in pictures])} if pictures else {}


def encode_entry(
    entry: CharacterClip, references: dict[int, Tensor], cache: LatentCache
) -> list[LatentSample]:
    """A picture as one sample, a clip as one for each piece of at most MAX_SECONDS."""
    if entry.is_picture:
        return [LatentSample(cache.picture(entry.path), None, entry.prompts, references)]
    pieces = cache.clip(entry.path)
    starts = [sum(clock.latent_frames(len(video)) for video, _ in pieces[:k]) for k in range(len(pieces))]
    samples = []
    for (video, audio), start in zip(pieces, starts, strict=True):
        end = start + clock.latent_frames(len(video))
        prompts = entry.prompts
        if len(pieces) > 1:
            prompts = tuple(excerpt(p, clock.duration(start), clock.duration(end)) for p in prompts)
        samples.append(LatentSample(video, audio, prompts, references))
    return samples


def encode_stills(
    entry: CharacterClip, references: dict[int, Tensor], cache: LatentCache, count: int
) -> list[LatentSample]:
    """Single frames of a clip as samples without sound, each with what the prompts say of it."""
    stored = zip(*cache.stills(entry.path, count), strict=True)
    return [
        LatentSample(video, None, still_prompts(entry.prompts, second.item()), references)
        for video, second in stored
    ]


def still_prompts(prompts: Sequence[str], second: float) -> tuple[str, ...]:
    """The wordings of a clip that hold for a single frame of it, less what is told in time.

    Those that then no longer mention whom they show are left out, and if no others are left, all stay whole.
    """
    within = [excerpt(prompt, second, second + clock.duration(1)) for prompt in prompts]
    told = [without_layers(prompt, IN_TIME) for prompt in within]
    kept = [t for t, whole in zip(told, within, strict=True) if t and mentions(t) == mentions(whole)]
    return tuple(kept or within)

"""What a model's tokenizers keep of held-out clips, how fast they are, and how published ones compare."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.media import Sound
from horsekit.metrics.fidelity import audio_fidelity, video_fidelity
from horsekit.metrics.output import aligned
from horsekit.stage import Script, stage_batch
from horsekit.stage.speech import LANGUAGES
from horsekit.tokenizers import LatentTokenizer, Tokenizers

TIMED_SECONDS = 2.56
REPEATS = 3  # of which the fastest counts: a machine's other work only ever slows it down
TOGETHER = 8


@dataclass(frozen=True)
class Codec:
    """One line of the table.

    layout: frames × rows × columns of a latent and its channels; compression: numbers in over numbers out;
    tokens_per_second: at the size that `quality` was measured at; parameters: encoder and decoder; encode,
    decode: times real time on this machine; source: where the figures of a published one come from.
    """

    name: str
    layout: str
    compression: float | None = None
    tokens_per_second: float | None = None
    parameters: float | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    encode: float | None = None
    decode: float | None = None
    source: str = "measured here"


# Figures of others are on their own data: natural video and sound of all kinds, at their own sizes and rates.
PUBLISHED = (
    Codec("Wan2.2 video", "4×16×16, 48", 64, parameters=704.7e6, source="diffusers config; no PSNR published"),
    Codec("LTX-Video", "8×32×32, 128", 192, parameters=419e6, quality={"psnr": 32.4, "ssim": 0.919},
          source="published, on UCF101 at 256²"),
    Codec("VidTok KL", "4×16×16, 16", 192, quality={"psnr": 29.61}, source="VidTok v1.1 (MCL-JCV, 256²)"),
    Codec("EnCodec 24 kHz, 6 kbps", "75/s × 8 codes", None, 75, 14.9e6,
          {"mel_distance": 1.83, "stft_distance": 4.10, "si_sdr": 5.99}, source="arXiv 2306.06546"),
    Codec("Oobleck", "21.5/s × 64", 64, 21.5, 156e6, source="diffusers config"),
)  # fmt: skip


def measure_tokenizers(
    tokenizers: Tokenizers, clips: int, sizes: Sequence[int] = (64, 128), recordings: Sequence[Path] = ()
) -> list[Codec]:
    """Round trips of held-out characters at each size, of held-out lines in every language, and of recordings.

    Errors: MediaError for a recording that cannot be read.
    """
    heard = [_recorded(tokenizers.audio, path) for path in recordings]
    measured = [_video(tokenizers.video, clips, size) for size in sizes]
    return [*measured, _audio(tokenizers.audio, clips), *heard, _text(tokenizers, clips)]


def table(codecs: Sequence[Codec]) -> str:
    """Aligned text, a line for each codec."""
    head = [
        "",
        "layout",
        "numbers in/out",
        "tokens/s",
        "parameters",
        "encode ×",
        "decode ×",
        "quality",
        "source",
    ]
    return "\n".join(aligned([head, *(_cells(codec) for codec in codecs)]))


def data(codecs: Sequence[Codec]) -> list[dict]:
    """The same in plain values."""
    return [asdict(codec) for codec in codecs]


def _cells(codec: Codec) -> list[str]:
    number = lambda value, form: "–" if value is None else format(value, form)  # noqa: E731
    return [
        codec.name,
        codec.layout,
        number(codec.compression, ".0f"),
        number(codec.tokens_per_second, ".4g"),
        "–" if codec.parameters is None else f"{codec.parameters / 1e6:.2f} M",
        number(codec.encode, ".0f"),
        number(codec.decode, ".0f"),
        ", ".join(f"{name} {value:.3g}" for name, value in codec.quality.items()) or "–",
        codec.source,
    ]


def _video(tokenizer: LatentTokenizer, clips: int, size: int) -> Codec:
    scripts = [
        Script.draw(seed, "held_out", characters=2 if seed % 6 == 5 else 1)
        for seed in tqdm(range(clips), desc=f"{size}×{size} scripts", unit="clip")
    ]
    frames = []
    for start in tqdm(range(0, clips, TOGETHER), desc=f"{size}×{size} rendering", unit="batch"):
        frames += [clip.frames for clip, _ in stage_batch(scripts[start : start + TOGETHER], size)]
    group, stride, _ = tokenizer.spec.strides
    content = torch.randint(0, 256, (1, clock.frame_count(TIMED_SECONDS), size, size, 3), dtype=torch.uint8)
    encode, decode = _speed(tokenizer, content)
    return Codec(
        f"{tokenizer.spec.name} at {size}×{size}",
        f"{group}×{stride}×{stride}, {tokenizer.spec.dim}",
        3 * group * stride**2 / tokenizer.spec.dim,
        float(tokenizer.spec.rate) * (size // stride) ** 2,
        _parameters(tokenizer),
        video_fidelity(tokenizer, torch.stack(frames)),
        encode,
        decode,
    )


def _audio(tokenizer: LatentTokenizer, clips: int) -> Codec:
    lines = {
        language: torch.stack(
            [
                Script.draw(seed, "held_out", speaking=True, language=language).waveform[:, 0]
                for seed in range(-(-clips // 4))
            ]
        )
        for language in tqdm(LANGUAGES, desc="held-out lines", unit="language")
    }
    distances = {
        language: audio_fidelity(tokenizer, waveforms)["mel_distance"]
        for language, waveforms in lines.items()
    }
    worst = max(distances, key=distances.get)
    rate = tokenizer.spec.sample_rate
    with _one_core():
        encode, decode = _speed(tokenizer, torch.rand(1, int(TIMED_SECONDS * rate)) - 0.5)
    return Codec(
        f"{tokenizer.spec.name}, {len(LANGUAGES)} languages, on one core",
        f"{tokenizer.spec.rate}/s × {tokenizer.spec.dim}",
        rate / float(tokenizer.spec.rate) / tokenizer.spec.dim,
        float(tokenizer.spec.rate),
        _parameters(tokenizer),
        {
            **audio_fidelity(tokenizer, torch.cat([*lines.values()])),
            f"mel_distance in {worst}, the worst": distances[worst],
        },
        encode,
        decode,
    )


def _recorded(tokenizer: LatentTokenizer, path: Path) -> Codec:
    """A sound from elsewhere, of which the tokenizer was taught nothing."""
    sound = Sound.open(path)
    kept = audio_fidelity(tokenizer, sound.mono().resampled(tokenizer.spec.sample_rate).waveform.T)
    return Codec(
        f"{tokenizer.spec.name}, {path.name} ({sound.seconds:.1f} s at {sound.sample_rate / 1000:g} kHz)",
        f"{tokenizer.spec.rate}/s × {tokenizer.spec.dim}",
        quality={name: value for name, value in kept.items() if not math.isnan(value)},  # no onsets, no error
    )


def _text(tokenizers: Tokenizers, clips: int) -> Codec:
    prompts = [Script.draw(seed, "held_out").prompt(seed) for seed in range(clips)]
    ids = [tokenizers.text.encode(prompt) for prompt in prompts]
    lossless = sum(tokenizers.text.encode(tokenizers.text.decode(i)) == i for i in ids) / len(prompts)
    encode = _times(lambda: [tokenizers.text.encode(prompt) for prompt in prompts])
    decode = _times(lambda: [tokenizers.text.decode(i) for i in ids])
    told = {"tokens a prompt": sum(map(len, ids)) / len(prompts), "lossless": lossless}
    speeds = {
        f"prompts {what} a second": len(prompts) * times / TIMED_SECONDS
        for what, times in (("encoded", encode), ("decoded", decode))
    }
    return Codec(
        "byte-level BPE, no weights",
        f"{tokenizers.text.vocab_size} pieces",
        sum(len(prompt.encode()) for prompt in prompts) / sum(map(len, ids)),
        quality={**told, **speeds},
    )


def _parameters(tokenizer: LatentTokenizer) -> float:
    return float(sum(tensor.numel() for tensor in tokenizer.state_dict().values()))


@torch.inference_mode()
def _speed(tokenizer: LatentTokenizer, content: Tensor) -> tuple[float, float]:
    """Encoding and decoding of TIMED_SECONDS, as multiples of real time."""
    latents = tokenizer.encode(content)
    return _times(lambda: tokenizer.encode(content)), _times(lambda: tokenizer.decode(latents))


@contextmanager
def _one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _times(work: Callable[[], Tensor]) -> float:
    fastest = float("inf")
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - begun)
    return TIMED_SECONDS / fastest

"""Train the native tokenizers on the stage.

    python training/train_tokenizer.py text|video|audio --out horsekit/weights/horse-tiny

A first run makes what `encode` depends on, merges of text and principal components of pictures and sound. This and
every later run then trains the decoder's refiner, from the weights in --out, so that cached latents stay good;
`--encoder` trains what a video's encoder adds to its components as well, `--critic`, last, trains a video's decoder
against a critic of patches, and `--afresh` begins again. It trains on a GPU where there is one.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from horsekit.engine.memory import keep_freed_memory
from horsekit.engine.optimizer import MuonAdamW
from horsekit.metrics.fidelity import audio_fidelity, video_fidelity
from horsekit.stage import Script, stage_batch
from horsekit.tokenizers import AudioTokenizer, LatentTokenizer, TextTokenizer, VideoTokenizer
from horsekit.tokenizers.audio import FLOOR
from horsekit.tokenizers.critic import PatchCritic
from horsekit.tokenizers.protocol import WEIGHTS
from horsekit.tokenizers.stft import between, spectrum
from horsekit.tokenizers.text import FILE
from horsekit.tokenizers.video import GROUP
from horsekit.transformer.precision import fast_bf16

HELD_OUT = {"video": 32, "audio": 64}  # clips by which a run is judged
BATCH = {"video": 12, "audio": 32}
GROUPS = 4  # in a row, for a decoder that remembers to learn from
LIPS_WEIGHT = 4.0
PHASE_WEIGHT = 0.3
SHARPNESS_WEIGHT = 0.5
# at most, in units of their deviation: a decoder must bear latents that a model made, an encoder must not whisper
LATENT_NOISE, ENCODER_NOISE = 0.3, 0.1
CRITIC_SHARE, CRITIC_WARMUP, CRITIC_LR = 0.8, 400, 4e-4
NEAR_WEIGHT = 0.02  # of how far an encoder that learns moves latents away from the components
WARMUP, SAVE_MINUTES = 100, 3.0
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

Media = Tensor | tuple[Tensor, Tensor]  # waveforms, or clips and their lips
Draw = Callable[[Media, int, torch.Generator], Media]
Loss = Callable[[LatentTokenizer, Media, torch.Generator, float], Tensor]


def scripts(count: int, split: str) -> Iterator[Script]:
    """Scripts with one character or, one time in six, two."""
    for seed in tqdm(range(count), desc=f"{split} scripts", unit="script"):
        yield Script.draw(seed, split=split, characters=2 if seed % 6 == 5 else 1)


def frames(count: int, split: str, size: int) -> tuple[Tensor, Tensor]:
    """Rendered clips [count, F, size, size, 3] uint8, and which of their pixels show lips [count, F, size, size]."""
    drawn, clips, lips = list(scripts(count, split)), [], []
    for start in tqdm(range(0, count, 16), desc="rendering", unit="batch"):
        for clip, truth in stage_batch(drawn[start : start + 16], size):
            clips.append(clip.frames)
            lips.append(covered(truth.mouth_box, size))
    return torch.stack(clips), torch.stack(lips)


def covered(boxes: Tensor, size: int) -> Tensor:
    """Pixels [F, size, size] in any of the boxes [C, F, 4] (centre x, centre y, width, height)."""
    middle = torch.arange(size) + 0.5
    columns, rows = ((middle - boxes[..., k, None]).abs() <= boxes[..., 2 + k, None] / 2 for k in (0, 1))
    return (rows[..., :, None] & columns[..., None, :]).any(0)


def sounds(count: int, split: str) -> Tensor:
    """Spoken clips [count, S]."""
    return torch.stack([script.waveform[:, 0] for script in scripts(count, split)])


def train_text(options: argparse.Namespace) -> None:
    """Merges from the stage's prompts."""
    prompts = [
        script.prompt(k, references=k % 3 > 0) for script in scripts(options.clips, "train") for k in range(6)
    ]
    tokenizer = TextTokenizer.train(prompts)
    tokenizer.save_pretrained(options.out / "text")
    held_out = [script.prompt(0) for script in scripts(200, "held_out")]
    lengths = torch.tensor([float(len(tokenizer.encode(prompt))) for prompt in held_out])
    print(json.dumps({"vocabulary": tokenizer.vocab_size, "held_out_tokens": lengths.mean().item()}))


def fit_video(media: tuple[Tensor, Tensor], dim: int) -> VideoTokenizer:
    """Principal components of patches at every pixel offset."""
    tokenizer = VideoTokenizer(dim)
    patches: tuple[list, list] = ([], [])
    generator = torch.Generator().manual_seed(0)
    for clip in tqdm(media[0], desc="patches", unit="clip"):
        for _ in range(3):
            x, y, t = (int(torch.randint(n, (), generator=generator)) for n in (16, 16, 4))
            last = (clip.shape[0] - t - 1) // 4 * 4 + 1
            crop = clip[None, t : t + last, y : y + 48, x : x + 48].float() / 127.5 - 1
            for kept, found in zip(patches, tokenizer.to_patches(crop), strict=True):
                kept.append(found.flatten(0, -2).half())
    groups = torch.cat(patches[1]).float()
    frames = torch.cat([torch.cat(patches[0]).float(), groups.view(-1, 768)[::7]])  # few clips' firsts, more
    first, later = tokenizer.fit(frames, groups)
    print(json.dumps({"explained_first": first, "explained_later": later}))
    return tokenizer


def some_clips(media: tuple[Tensor, Tensor], count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pieces of `count` clips, [n, F, H, W, 3]: a first frame and some groups after it; and of their lips.

    Half of the batches are mirrored and half have their colours exchanged: more characters than were drawn.
    """
    length = GROUP * GROUPS + 1
    which = torch.randint(len(media[0]), (count,), generator=generator).tolist()
    when = torch.randint(media[0].shape[1] - length + 1, (count,), generator=generator).tolist()
    places = [*zip(which, when, strict=True)]
    pieces, lips = (torch.stack([of[i, t : t + length] for i, t in places]) for of in media)
    if torch.rand((), generator=generator) < 0.5:
        pieces, lips = pieces.flip(3), lips.flip(3)
    if torch.rand((), generator=generator) < 0.5:
        pieces = pieces[..., torch.randperm(3, generator=generator)]
    return pieces, lips


def noisy(latents: Tensor, generator: torch.Generator, noise: float) -> Tensor:
    """Latents, each clip's with noise of a strength of its own, up to `noise`."""
    strength = noise * torch.rand(len(latents), *[1] * (latents.ndim - 1), generator=generator)
    return latents + (strength * torch.randn(latents.shape, generator=generator)).to(latents.device)


def video_loss(
    tokenizer: VideoTokenizer, piece: tuple[Tensor, Tensor], generator: torch.Generator, noise: float
) -> Tensor:
    """Pixels (L1 and squared), neighbours' differences, pixels at half size, and sharpness, from noisy latents.

    Lips count for more, since they are a hundredth of the picture, and all of it that has to be in time. An encoder
    that learns stays near the components, so that a model that knows those can go on.
    """
    clip, lips = piece
    true = clip / 127.5 - 1
    latents = tokenizer.encode(clip)
    moved = latents / tokenizer.spread - tokenizer.components(true)
    made = tokenizer.decode_pixels(noisy(latents, generator, noise))
    return video_error(made, true, lips) + NEAR_WEIGHT * moved.square().mean()


def video_error(made: Tensor, true: Tensor, lips: Tensor) -> Tensor:
    """Of pixels [B, F, H, W, R] from −1 to 1; lips [B, F, H, W]: where they are."""
    error = made - true
    halved = F.avg_pool2d(error.flatten(0, 1).permute(0, 3, 1, 2), 2)
    weight = 1 + LIPS_WEIGHT * lips[..., None]
    return (
        (weight * (error.abs() + 2 * error.square())).mean()
        + 0.5 * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
        + 0.5 * halved.abs().mean()
        + SHARPNESS_WEIGHT
        * sum((a - b).abs().mean() for a, b in zip(contrasts(made), contrasts(true), strict=True))
    )


def contrasts(pixels: Tensor) -> list[Tensor]:
    """How strongly neighbours in time, down and across differ, over 4 × 4 pixels of clips [B, F, H, W, R].

    An edge that is a little off costs least, by its pixels, where it is blurred away. By these it has to be there.
    """
    steps = (pixels.diff(dim=axis).square().flatten(0, 1).permute(0, 3, 1, 2) for axis in (1, 2, 3))
    return [(F.avg_pool2d(step, 4, 2, ceil_mode=True) + 1e-4).sqrt() for step in steps]


class JudgedLoss:
    """The video's error, and a critic of patches that learns beside the refiner.

    What the critic wants is added to the gradient at the decoded pixels, as a share of the error's own, so that neither
    has to be weighed anew while both learn. The encoder stays as it is.
    """

    def __init__(self) -> None:
        self.critic = PatchCritic().to(DEVICE)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), CRITIC_LR, betas=(0.5, 0.9))
        self.steps = 0

    def __call__(
        self,
        tokenizer: VideoTokenizer,
        piece: tuple[Tensor, Tensor],
        generator: torch.Generator,
        noise: float,
    ) -> Tensor:
        clip, lips = piece
        true = clip / 127.5 - 1
        with torch.no_grad():
            latents = noisy(tokenizer.encode(clip), generator, noise)
            linear = tokenizer.linear_pixels(latents)
        made = tokenizer.decode_pixels(latents)
        shown = made.detach().requires_grad_()
        error = video_error(shown, true, lips)
        (nearer,) = torch.autograd.grad(error, shown)
        (likelier,) = torch.autograd.grad(-self.critic(shown, linear).mean(), shown)
        self._learn(true, shown.detach(), linear)
        share = CRITIC_SHARE * min(1.0, self.steps / CRITIC_WARMUP)
        wanted = nearer + share * nearer.norm() / likelier.norm().clamp(min=1e-8) * likelier
        pull = (made * wanted).sum()
        return error.detach() + pull - pull.detach()

    def _learn(self, true: Tensor, made: Tensor, linear: Tensor) -> None:
        """One step of the critic by the hinge loss (arXiv 1802.05957)."""
        loss = F.relu(1 - self.critic(true, linear)).mean() + F.relu(1 + self.critic(made, linear)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1


def fit_audio(waveforms: Tensor) -> AudioTokenizer:
    """Principal components of four log-spectral frames at every hop offset."""
    tokenizer = AudioTokenizer()
    logs = torch.cat([tokenizer.log_bands(part) for part in waveforms.split(64)])
    windows = logs.unfold(1, 4, 1).transpose(2, 3).flatten(2).flatten(0, 1)
    share = tokenizer.basis.fit(windows)
    print(json.dumps({"explained": share.sum().item()}))
    return tokenizer


def some_sounds(waveforms: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Any `count` of the waveforms."""
    return waveforms[torch.randint(len(waveforms), (count,), generator=generator)]


def audio_loss(
    tokenizer: AudioTokenizer, waveform: Tensor, generator: torch.Generator, noise: float
) -> Tensor:
    """L1 of log magnitudes, and of magnitudes, and how far phases turn otherwise, from noisy latents."""
    spectra = spectrum(waveform, tokenizer.window)
    true = (spectra.abs() + FLOOR).log()
    made, slopes = tokenizer.log_spectra(noisy(tokenizer.encode(waveform), generator, noise))
    turned = sum(unlike(spectra, slope, axis) for axis, slope in enumerate(slopes, 1))
    return (made - true).abs().mean() + 20 * (made.exp() - true.exp()).abs().mean() + PHASE_WEIGHT * turned


def unlike(spectra: Tensor, slope: Tensor, axis: int) -> Tensor:
    """1 − cos of the angle between how phases turn along an axis and how they should; what is loud counts most."""
    count = spectra.shape[axis] - 1
    turn = spectra.narrow(axis, 1, count) * spectra.narrow(axis, 0, count).conj()
    weight = turn.abs().sqrt()
    return (weight * (1 - (turn.angle() - between(slope, axis)).cos())).sum() / weight.sum()


def placed(media: Media) -> Media:
    """Media where the tokenizer is."""
    return media.to(DEVICE) if isinstance(media, Tensor) else tuple(part.to(DEVICE) for part in media)


def optimizer_of(parameters: list[nn.Parameter], lr: float) -> MuonAdamW:
    """Muon on kernels and matrices, AdamW on the rest."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "experts": 1, "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim == 1]},
    ]
    return MuonAdamW(groups, lr, (0.9, 0.95))


def refine(
    tokenizer: LatentTokenizer,
    media: Media,
    draw: Draw,
    loss: Loss,
    judge: Callable[[], dict[str, float]],
    options: argparse.Namespace,
) -> None:
    """Train the refiner, and with --encoder the encoder, for options.minutes, at a rate that falls to 0.

    Weights are saved on the way.
    """
    keep_freed_memory()
    generator = torch.Generator().manual_seed(int(time.time()))
    learning = tokenizer if options.encoder else tokenizer.refiner
    parameters = list(learning.requires_grad_().parameters())
    noise = ENCODER_NOISE if options.encoder else LATENT_NOISE
    optimizer, half = optimizer_of(parameters, options.lr), fast_bf16(DEVICE)
    folder, log = options.out / options.modality, options.out.parent / f"{options.modality}.jsonl"
    log = options.log or log
    count = BATCH[options.modality] if options.batch_size is None else options.batch_size
    log.parent.mkdir(parents=True, exist_ok=True)
    begun, saved, step, used = time.monotonic(), time.monotonic(), 0, 0.0
    with log.open("a") as lines, tqdm(total=100, desc="training", unit="%") as bar:
        while used < 1:
            for group in optimizer.param_groups:
                group["lr"] = options.lr * min(1, (step + 1) / WARMUP) * (1 - used)
            piece = placed(draw(media, count, generator))
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=half):
                value = loss(tokenizer, piece, generator, noise)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step, used = step + 1, (time.monotonic() - begun) / 60 / options.minutes
            bar.n = min(100, int(100 * used))
            bar.set_postfix(step=step, loss=f"{value.item():.4f}")
            if used >= 1 or time.monotonic() - saved > 60 * SAVE_MINUTES:
                saved = time.monotonic()
                tokenizer.save_pretrained(folder)
                reached = judge()
                lines.write(json.dumps({"step": step, "loss": value.item(), **reached}) + "\n")
                lines.flush()
    print(json.dumps({"steps": step, **reached}))


def train_latent(options: argparse.Namespace) -> None:
    """Components where there are no weights yet, then the decoder."""
    folder = options.out / options.modality
    if options.modality == "video":
        kind, draw, loss = VideoTokenizer, some_clips, JudgedLoss() if options.critic else video_loss
        render, fit = partial(frames, size=options.size), partial(fit_video, dim=options.dim)
        fidelity = lambda tokenizer, media: video_fidelity(tokenizer, media[0])  # noqa: E731
    else:
        kind, draw, loss = AudioTokenizer, some_sounds, audio_loss
        render, fit, fidelity = sounds, fit_audio, audio_fidelity
    media, held_out = render(options.clips, "train"), render(HELD_OUT[options.modality], "held_out")
    if options.afresh or not (folder / WEIGHTS).exists():
        fit(media).save_pretrained(folder)
    tokenizer = kind.from_pretrained(folder).to(DEVICE)
    print(json.dumps(fidelity(tokenizer, held_out)))
    refine(tokenizer, media, draw, loss, lambda: fidelity(tokenizer, held_out), options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modality", choices=("text", "video", "audio"))
    parser.add_argument("--out", type=Path, default=Path("horsekit/weights/horse-tiny"))
    parser.add_argument(
        "--afresh", action="store_true", help="fit anew what encode depends on; cached latents go stale"
    )
    parser.add_argument(
        "--encoder", action="store_true", help="let a video's encoder learn too; cached latents go stale"
    )
    parser.add_argument(
        "--critic", action="store_true", help="let a critic of patches teach a video's decoder what edges are"
    )
    parser.add_argument(
        "--clips", type=int, default=2048, help="rendered for training (default: %(default)s)"
    )
    parser.add_argument("--size", type=int, default=64, help="pixels a side (default: %(default)s)")
    parser.add_argument(
        "--dim", type=int, default=96, help="channels of a new video latent (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=40.0, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, help="default: 12 pieces of clips, 32 sounds")
    parser.add_argument("--lr", type=float, default=3e-3, help="default: %(default)s")
    parser.add_argument("--log", type=Path, help="JSON lines (default: beside --out)")
    options = parser.parse_args()
    if options.size < 64 or options.size % 16:
        parser.error(f"--size is {options.size}; give a multiple of 16 pixels, 64 or more")
    if options.encoder and options.modality != "video":
        parser.error(f"--encoder is for video; the encoder of {options.modality} has nothing to learn")
    if options.critic and (options.modality != "video" or options.encoder):
        parser.error("--critic is for a video's decoder, once its encoder has learnt; drop --encoder")
    if options.modality == "text" and not options.afresh and (options.out / "text" / FILE).exists():
        parser.error(f"{options.out / 'text'} is trained already, and other ids break a model; choose --out")
    train_text(options) if options.modality == "text" else train_latent(options)


if __name__ == "__main__":
    main()

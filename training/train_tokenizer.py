"""Train the native tokenizers on the stage.

    python training/train_tokenizer.py text|video|audio --out horsekit/weights/horse-tiny

A first run fits what `encode` depends on (BPE merges, principal components); this and every later run then
trains the decoder's refiner, from where the weights in --out left off, so that cached latents stay good.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from horsekit.metrics.fidelity import audio_fidelity, video_fidelity
from horsekit.stage import Script, stage_batch
from horsekit.tokenizers import AudioTokenizer, LatentTokenizer, TextTokenizer, VideoTokenizer
from horsekit.tokenizers.audio import FLOOR, spectrum
from horsekit.tokenizers.protocol import WEIGHTS
from horsekit.tokenizers.text import FILE

LATENT_NOISE = 0.5  # at most: the decoder must bear latents that a model made
SAVE_EVERY = 250


def scripts(count: int, split: str, first: int = 0) -> Iterator[Script]:
    """Scripts with one character or, one time in six, two."""
    for seed in tqdm(range(first, first + count), desc=f"{split} scripts", unit="script"):
        yield Script.draw(seed, split=split, characters=2 if seed % 6 == 5 else 1)


def frames(count: int, split: str, first: int = 0) -> Tensor:
    """Rendered clips [count, F, H, W, 3] uint8."""
    drawn = list(scripts(count, split, first))
    clips = []
    for start in tqdm(range(0, count, 16), desc="rendering", unit="batch"):
        clips += [clip.frames for clip, _ in stage_batch(drawn[start : start + 16])]
    return torch.stack(clips)


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


def fit_video(clips: Tensor) -> VideoTokenizer:
    """Principal components of patches at every pixel offset."""
    tokenizer = VideoTokenizer()
    patches: tuple[list, list] = ([], [])
    generator = torch.Generator().manual_seed(0)
    for clip in tqdm(clips, desc="patches", unit="clip"):
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


def video_loss(tokenizer: VideoTokenizer, clip: Tensor, generator: torch.Generator) -> Tensor:
    """L1 of pixels, of differences between neighbours and between frames, from noisy latents."""
    with torch.no_grad():
        latents = tokenizer.encode(clip)
        strength = LATENT_NOISE * torch.rand(len(clip), 1, 1, 1, 1, generator=generator)
        latents = latents + strength * torch.randn(latents.shape, generator=generator)
    made, true = tokenizer.decode_pixels(latents), clip / 127.5 - 1
    error = made - true
    return (
        error.abs().mean()
        + error.diff(dim=2).abs().mean()
        + error.diff(dim=3).abs().mean()
        + 0.5 * error.diff(dim=1).abs().mean()
    )


def fit_audio(waveforms: Tensor) -> AudioTokenizer:
    """Principal components of four log-spectral frames at every hop offset."""
    tokenizer = AudioTokenizer()
    logs = torch.cat([tokenizer.log_bands(part) for part in waveforms.split(64)])
    windows = logs.unfold(1, 4, 1).transpose(2, 3).flatten(2).flatten(0, 1)
    share = tokenizer.basis.fit(windows)
    print(json.dumps({"explained": share.sum().item()}))
    return tokenizer


def audio_loss(tokenizer: AudioTokenizer, waveform: Tensor, generator: torch.Generator) -> Tensor:
    """L1 of log magnitudes, and of magnitudes, from noisy latents."""
    with torch.no_grad():
        latents = tokenizer.encode(waveform)
        strength = LATENT_NOISE * torch.rand(len(waveform), 1, 1, generator=generator)
        latents = latents + strength * torch.randn(latents.shape, generator=generator)
        true = (spectrum(waveform, tokenizer.window).abs() + FLOOR).log()
    made = tokenizer.log_magnitude(latents)
    return (made - true).abs().mean() + 20 * (made.exp() - true.exp()).abs().mean()


def refine(tokenizer: LatentTokenizer, media: Tensor, held_out: Tensor, loss, fidelity, options) -> None:
    """Train the refiner; keep the log, the weights, and what they reach on held-out clips."""
    folder = options.out / options.modality
    generator = torch.Generator().manual_seed(int(time.time()))
    optimizer = torch.optim.AdamW(tokenizer.refiner.parameters(), lr=options.lr, weight_decay=0.01)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 50, 1.02 - step / max(1, options.steps))
    )
    log = options.out.parent / f"{options.modality}.jsonl" if options.log is None else options.log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as lines, tqdm(range(1, options.steps + 1), desc="refining", unit="step") as bar:
        for step in bar:
            rows = torch.randint(len(media), (options.batch_size,), generator=generator)
            value = loss(tokenizer, media[rows], generator)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            decay.step()
            bar.set_postfix(loss=f"{value.item():.4f}")
            if step % SAVE_EVERY == 0 or step == options.steps:
                tokenizer.save_pretrained(folder)
                reached = fidelity(tokenizer, held_out)
                lines.write(json.dumps({"step": step, "loss": value.item(), **reached}) + "\n")
                lines.flush()
    print(json.dumps(fidelity(tokenizer, held_out)))


def train_latent(options: argparse.Namespace) -> None:
    """Fit where there are no weights yet, then refine."""
    video = options.modality == "video"
    if video:
        media, held_out = frames(options.clips, "train"), frames(32, "held_out")
    else:
        media = torch.stack([script.waveform[:, 0] for script in scripts(options.clips, "train")])
        held_out = torch.stack([script.waveform[:, 0] for script in scripts(64, "held_out")])
    kind = VideoTokenizer if video else AudioTokenizer
    folder = options.out / options.modality
    if (folder / WEIGHTS).exists():
        tokenizer = kind.from_pretrained(folder).train()
    else:
        tokenizer = fit_video(media) if video else fit_audio(media)
        tokenizer.save_pretrained(folder)
        tokenizer = kind.from_pretrained(folder).train()
    fidelity = video_fidelity if video else audio_fidelity
    print(json.dumps(fidelity(tokenizer, held_out)))
    if options.steps:
        refine(tokenizer, media, held_out, video_loss if video else audio_loss, fidelity, options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modality", choices=("text", "video", "audio"))
    parser.add_argument("--out", type=Path, default=Path("horsekit/weights/horse-tiny"))
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--log", type=Path, default=None)
    options = parser.parse_args()
    if options.modality == "text" and (options.out / "text" / FILE).exists():
        parser.error(
            f"{options.out / 'text'} is trained already, and other ids would break a model; choose --out"
        )
    train_text(options) if options.modality == "text" else train_latent(options)


if __name__ == "__main__":
    main()

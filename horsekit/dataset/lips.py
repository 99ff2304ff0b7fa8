"""Lips in latents: which latents show them, and along which directions they open.

`python -m horsekit.dataset.lips` fits the directions on rendered clips and writes them beside the tokenizers.

T latent frames, h w latent grid, F frames, C channels, N clips
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.media import replacing
from horsekit.stage import Script, stage_batch
from horsekit.tokenizers import Tokenizers, load_tokenizers

FILE = "lips.safetensors"
RIDGE = 30.0
TOGETHER = 16
FIRST_SEED = 80_000_000  # no other use of the stage's train split begins here


def lip_shares(boxes: Tensor, grid: Sequence[int]) -> Tensor:
    """Share of the lips that each latent of a grid (T, h, w) shows, [T, h, w] in 0..1, the mean over its frames.

    boxes: [characters, F, 4] round each mouth (centre x, y, width, height) as shares of the picture.
    """
    shares = []
    for axis, cells in ((1, grid[1]), (0, grid[2])):
        middle, extent = boxes[..., axis, None], boxes[..., 2 + axis, None].clamp(min=1e-6)
        edges = torch.arange(cells + 1) / cells
        shares.append(((edges - middle) / extent + 0.5).clamp(0, 1).diff(dim=-1))
    frames = (shares[0][..., None] * shares[1][..., None, :]).sum(0).clamp(max=1)
    return latent_means(frames)


def latent_means(frames: Tensor) -> Tensor:
    """Values of frames [F, ...] by latents [T, ...]: the first frame's own, then the mean of every four."""
    return torch.cat([frames[:1], frames[1:].unflatten(0, (-1, clock.FRAMES_PER_LATENT)).mean(1)])


def lip_directions(video: Tensor, focus: Tensor, aperture: Tensor) -> tuple[Tensor, Tensor]:
    """Directions [C, 4] along which later latents change as lips open, and the share [4] of that they explain.

    video [N, T, h, w, C], focus [N, T, h, w], aperture [N, F]. Ridge regression of the aperture in a latent's
    four frames on the lips' mean latent, both without their mean over the clip; each direction is scaled so that
    lips move along it with a deviation of 1. The last quarter of the clips is kept for the share.
    """
    weight = focus.flatten(2)[:, 1:, :, None]
    lips = (video.flatten(2, 3)[:, 1:] * weight).sum(2) / weight.sum(2).clamp(min=1e-3)
    opening = aperture[:, 1:].unflatten(1, (-1, clock.FRAMES_PER_LATENT))
    lips, opening = (x - x.mean(1, keepdim=True) for x in (lips.double(), opening.double()))
    fitted = len(lips) * 3 // 4
    x, y = lips[:fitted].flatten(0, 1), opening[:fitted].flatten(0, 1)
    directions = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    kept = opening[fitted:]
    missed = (kept - lips[fitted:] @ directions).square().sum((0, 1))
    explained = 1 - missed / kept.square().sum((0, 1))
    return (directions / (x @ directions).std(0)).float(), explained.float()


def load_lips(folder: Path, tokenizers: Tokenizers) -> Tensor:
    """The directions in a model's folder. Errors: ValueError when they are missing or of another tokenizer."""
    path = folder / FILE
    remedy = f"fit them with python -m horsekit.dataset.lips {folder}, or set objective.lips_weight=0"
    if not path.is_file():
        raise ValueError(f"{path} is not there; {remedy}")
    stored = load_file(path)
    if bytes(stored["digest"].tolist()).decode() != tokenizers.video.digest:
        raise ValueError(f"{path} belongs to another video tokenizer; {remedy}")
    return stored["directions"]


@torch.inference_mode()
def fit(tokenizers: Tokenizers, clips: int, seconds: float, size: int) -> tuple[Tensor, Tensor]:
    """lip_directions of rendered clips of one speaker each, with a progress bar."""
    parts = []
    for start in tqdm(range(0, clips, TOGETHER), desc="render", unit="batch"):
        seeds = range(FIRST_SEED + start, FIRST_SEED + min(start + TOGETHER, clips))
        scripts = [Script.draw(seed, "train", seconds, characters=1, speaking=True) for seed in seeds]
        takes = stage_batch(scripts, size)
        video = tokenizers.video.encode(torch.stack([clip.frames for clip, _ in takes]))
        focus = torch.stack([lip_shares(truth.mouth_box / size, video.shape[1:4]) for _, truth in takes])
        parts.append((video, focus, torch.stack([truth.mouth[0, :, 0] for _, truth in takes])))
    return lip_directions(*(torch.cat(part) for part in zip(*parts, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("horsekit/weights/horse-tiny"))
    parser.add_argument("--clips", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=1.28)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    tokenizers = load_tokenizers(options.folder)
    directions, explained = fit(tokenizers, options.clips, options.seconds, options.size)
    digest = torch.tensor(list(tokenizers.video.digest.encode()), dtype=torch.uint8)
    with replacing(options.folder / FILE) as draft:
        save_file({"directions": directions.contiguous(), "digest": digest}, draft)
    shares = ", ".join(f"{100 * share:.0f}" for share in explained.tolist())
    print(f"{options.folder / FILE}: {shares} % of how lips open in each of a latent's frames")


if __name__ == "__main__":
    main()

"""Train the reader of horsekit.metrics on rendered characters: `python training/train_identity.py`.

Renders (kept in --cache, so that a second run starts at once), trains for --minutes, measures on characters
kept apart, and writes horsekit/weights/reader/. B frames, E coordinates, P parameters.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from horsekit.media import replacing
from horsekit.metrics.embedding import block_errors, blocks, embed, owners
from horsekit.metrics.identity import cast
from horsekit.metrics.reader import CARD, CAST_KEY, WEIGHTS, Reader, settled
from horsekit.stage import Background, CameraMove, Character, Light, Scene, portrait, render

POSES = 4  # frames of each character, far apart along its camera's path
FIRST_TRAIN, FIRST_TEST = 50_000_000, 60_000_000  # character seeds that no split of the stage uses
TEST_SCENES = 384
FIRST_PORTRAIT, PORTRAITS = 70_000_000, 3  # seed of the cast's first picture, pictures of each
SHARD = 64
AVERAGE = 0.999


def scene(seed: int) -> tuple[Scene, Tensor]:
    """One character from POSES views, with a mouth [1, POSES, 5] of any shape in each."""
    source = torch.Generator().manual_seed(seed)
    spread = torch.tensor([0.22, 0.12, 0.1])
    pose = spread * torch.randn(1, POSES, 3, generator=source)
    blink = (2 * torch.rand(1, POSES, generator=source) - 1).clamp(min=0) ** 2
    mouth = torch.rand(1, POSES, 5, generator=source)
    shut = torch.rand(1, POSES, generator=source) < 0.25
    mouth[..., 0] = torch.where(shut, 0.0, mouth[..., 0])
    mouth[..., 3:] *= (torch.rand(1, POSES, 2, generator=source) < 0.6).float()
    composed = Scene.compose(
        (Character.draw(seed),), POSES, CameraMove.draw(seed), Light.draw(seed), Background(seed), seed=seed
    )
    fields = {**composed.__dict__, "head_pose": pose, "blink": blink}
    return Scene(**fields), mouth


def rendered(first: int, count: int, cache: Path) -> dict[str, Tensor]:
    """frames [N, 64, 64, 3], character [N, E], mouth [N, 2], aperture [N] of `count` scenes."""
    shards = []
    for start in tqdm(range(first, first + count, SHARD), desc="render", unit="shard"):
        path = cache / f"{start}.safetensors"
        if not path.exists():
            pairs = [scene(seed) for seed in range(start, start + SHARD)]
            views = render(*zip(*pairs, strict=True))
            who = torch.stack([embed(s.characters[0]) for s, _ in pairs])
            with replacing(path) as temporary:
                save_file(
                    {
                        "frames": torch.cat([v.frames for v in views]),
                        "character": who.repeat_interleave(POSES, 0),
                        "mouth": torch.cat([v.mouth_box[0, :, :2] for v in views]) / views[0].frames.shape[1],
                        "aperture": torch.cat([m[0, :, 0] for _, m in pairs]),
                    },
                    temporary,
                )
        shards.append(load_file(path))
    return {key: torch.cat([shard[key] for shard in shards]) for key in shards[0]}


def worn(frames: Tensor, source: torch.Generator) -> Tensor:
    """Frames [B, H, W, 3] as tokenizers and models leave them: blurred, coarse by patch, noisy, or whole."""
    x = rearrange(frames, "B H W C -> B C H W").float()
    groups = list(x.chunk(4))  # the batch comes in random order
    strength = [torch.rand(len(g), 1, 1, 1, generator=source) for g in groups]
    soft = functional.avg_pool2d(functional.pad(groups[1], (2,) * 4, mode="replicate"), 5, 1)
    groups[1] = groups[1] + 0.8 * strength[1] * (soft - groups[1])
    groups[2] = functional.interpolate(functional.avg_pool2d(groups[2], 2), scale_factor=2, mode="bilinear")
    groups[3] = _coarse(groups[3], strength[3])
    x = torch.cat(groups)
    x = x + 10 * torch.cat(strength) * torch.randn(x.shape, generator=source)
    return rearrange(x.round().clamp(0, 255).to(torch.uint8), "B C H W -> B H W C")


def _coarse(x: Tensor, strength: Tensor, patch: int = 16) -> Tensor:
    """The low cosine frequencies of each patch, as many as a linear tokenizer of 96 components would keep."""
    n = torch.arange(patch)
    cosine = torch.cos(math.pi / patch * (n[None] + 0.5) * n[:, None]) * math.sqrt(2 / patch)
    cosine[0] /= math.sqrt(2)
    tiles = rearrange(x, "B C (h a) (w b) -> B C h w a b", a=patch, b=patch)
    spectrum = cosine @ tiles @ cosine.T
    kept = (n[:, None] + n[None]) <= (5 + 8 * (1 - strength[..., None, None]))
    return rearrange(cosine.T @ (spectrum * kept) @ cosine, "B C h w a b -> B C (h a) (w b)")


def faceless(frames: Tensor, source: torch.Generator) -> Tensor:
    """Pictures [B, H, W, 3] without a face: shuffled tiles, noise, flat colour, closeups of the chest."""
    count, height = len(frames), frames.shape[1]
    tiles = rearrange(frames, "B (h a) (w b) C -> B (h w) a b C", a=8, b=8)
    order = torch.rand(count, tiles.shape[1], generator=source).argsort(1)
    shuffled = torch.stack([t[o] for t, o in zip(tiles, order, strict=True)])
    shuffled = rearrange(shuffled, "B (h w) a b C -> B (h a) (w b) C", h=height // 8)
    noise = torch.randint(0, 256, frames.shape, generator=source, dtype=torch.uint8)
    flat = torch.randint(0, 256, (count, 1, 1, 3), generator=source, dtype=torch.uint8).expand_as(frames)
    chest = frames[:, -height // 4 :, height // 4 : height // 2]
    chest = chest.repeat_interleave(4, 1).repeat_interleave(4, 2)
    kind = torch.randint(4, (count,), generator=source)
    return torch.stack([shuffled, noise, flat, chest])[kind, torch.arange(count)]


def loss_of(raw: Tensor, batch: dict[str, Tensor], faces: int) -> Tensor:
    """The loss of raw outputs [B, E + 4] whose first `faces` rows show a face."""
    seen, who, place = raw[:faces], batch["character"], batch["mouth"]
    terms = []
    for _, kind, block in blocks():
        guess, truth = seen[:, block], who[:, block]
        if kind == "categorical":
            terms.append(functional.cross_entropy(guess, truth.argmax(1)) / math.log(guess.shape[1]))
        else:
            terms.append((guess - truth).square().sum(1).mean())
    face = raw[:, len(owners())]
    shown = (torch.arange(len(raw)) < faces).float()
    return (
        torch.stack(terms).mean()
        + 0.2 * functional.binary_cross_entropy_with_logits(face, shown)
        + 20 * (seen[:, -3:-1] - place).square().mean()
        + 3 * (seen[:, -1] - batch["aperture"]).square().mean()
    )


def train(
    reader: Reader, data: dict[str, Tensor], minutes: float, batch_size: int, rate: float, seed: int
) -> Reader:
    """The reader trained for `minutes` of processor time, its weights averaged over the last steps."""
    source = torch.Generator().manual_seed(seed)
    reader = reader.train().to(memory_format=torch.channels_last)
    average = copy.deepcopy(reader).requires_grad_(False)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    start, done = time.process_time(), 0.0
    bar = tqdm(total=100, desc="train", unit="%")
    steps = 0
    while done < 1:
        order = torch.randint(len(data["frames"]), (batch_size,), generator=source)
        batch = {key: value[order] for key, value in data.items()}
        if torch.rand((), generator=source) < 0.5:  # a mirrored character is as good a one
            batch["frames"] = batch["frames"].flip(2)
            batch["mouth"] = batch["mouth"] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
        frames = worn(batch["frames"], source)
        frames = torch.cat([frames, faceless(frames[: batch_size // 16], source)])
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, steps / 200) * (0.02 + 0.98 * math.cos(math.pi / 2 * done) ** 2)
        loss = loss_of(reader(frames), batch, batch_size)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps += 1
        share = max(1 - AVERAGE, 10 / (10 + steps))  # the beginning is forgotten first
        with torch.no_grad():
            for kept, now in zip(average.parameters(), reader.parameters(), strict=True):
                kept.lerp_(now, share)
        before, done = done, min(1.0, (time.process_time() - start) / (60 * minutes))
        bar.update(100 * (done - before))
        bar.set_postfix(loss=f"{loss.item():.3f}", steps=steps)
    return average.eval()


@torch.inference_mode()
def measure(reader: Reader, data: dict[str, Tensor]) -> dict:
    """What the reader is worth on characters it never saw: per parameter, and for the mouth."""
    raw = torch.cat([reader(part) for part in data["frames"].split(256)])
    read = rearrange(settled(raw[:, : len(owners())]), "(n f) E -> n f E", f=POSES)
    truth = data["character"][::POSES]
    errors, spread = block_errors(read.mean(1), truth).mean(0), block_errors(truth, truth.mean(0)).mean(0)
    reliability = (1 - errors / spread).clamp(0, 1)
    names = [name for name, _, _ in blocks()]
    aperture = torch.stack([raw[:, -1], data["aperture"]])
    return {
        "reliability": {n: round(r, 3) for n, r in zip(names, reliability.tolist(), strict=True)},
        "frame_rmse": round(block_errors(read, truth[:, None]).mean().sqrt().item(), 4),
        "aperture_correlation": round(torch.corrcoef(aperture)[0, 1].item(), 4),
        "mouth_error_pixels": round(64 * (raw[:, -3:-1] - data["mouth"]).norm(dim=1).median().item(), 3),
    }


def looks(reader: Reader) -> Tensor:
    """[100, E] how the reader sees pictures of the held-out cast, on average over a few of each."""
    seen = []
    for number, character in enumerate(tqdm(cast(), desc="cast", unit="character")):
        seeds = range(FIRST_PORTRAIT + PORTRAITS * number, FIRST_PORTRAIT + PORTRAITS * (number + 1))
        frames = torch.stack([portrait(character, seed) for seed in seeds])
        seen.append(reader.read(frames).character.mean(0))
    return torch.stack(seen)


def write(reader: Reader, card: dict, folder: Path) -> None:
    """The weights in half precision, with the cast's looks, and the card."""
    values = {**reader.state_dict(), CAST_KEY: looks(reader)}
    with replacing(folder / WEIGHTS) as temporary:
        save_file({name: v.to(torch.float16).contiguous() for name, v in values.items()}, temporary)
        temporary.chmod(0o644)
    with replacing(folder / CARD) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n")


def earlier(folder: Path) -> tuple[Reader, float]:
    """A reader that was written before, and the minutes it was trained for."""
    weights = {k: v.float() for k, v in load_file(folder / WEIGHTS).items() if k != CAST_KEY}
    reader = Reader()
    reader.load_state_dict(weights)
    return reader, json.loads((folder / CARD).read_text())["minutes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=8192)
    parser.add_argument("--minutes", type=float, default=20, help="of processor time")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("runs/reader"))
    parser.add_argument("--start", type=Path, help="folder of a reader to go on from, at a lower --rate")
    parser.add_argument("--out", type=Path, default=Path("horsekit/weights/reader"))
    options = parser.parse_args()
    data = rendered(FIRST_TRAIN, options.scenes, options.cache)
    torch.manual_seed(options.seed)
    reader, minutes = earlier(options.start) if options.start else (Reader(), 0.0)
    reader = train(reader, data, options.minutes, options.batch_size, options.rate, options.seed)
    card = {
        "reader": "reads character, mouth and its aperture from one 64 x 64 frame of the stage",
        "scenes": options.scenes,
        "minutes": minutes + options.minutes,
        **measure(reader, rendered(FIRST_TEST, TEST_SCENES, options.cache)),
    }
    write(reader, card, options.out)
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()

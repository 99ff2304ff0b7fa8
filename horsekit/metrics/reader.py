"""The reader: a small network that looks at one frame and says who is in it and how its mouth stands.

It sees pixels alone. Made by training/train_identity.py from characters of the train split.
B frames, H W pixels, E coordinates of a character (see embedding), D width.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch
from einops import rearrange, reduce
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from horsekit.media.picture import fit
from horsekit.metrics.embedding import blocks, one_hot_scale, owners

FACE = 0.5  # how sure the reader must be that a face is in view
SIZE = 64
WEIGHTS = "reader.safetensors"
CARD = "reader.json"
CAST_KEY = "cast"


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read from F frames.

    character [F, E]; face [F] in 0..1, how sure that a face is in view; mouth [F, 2] its middle, x and y in
    shares of the picture; aperture [F], 0 shut to 1 wide open.
    """

    character: Tensor
    face: Tensor
    mouth: Tensor
    aperture: Tensor

    @property
    def faces(self) -> float:
        """The share of frames with a face in view."""
        return (self.face >= FACE).float().mean().item()


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(self.norm(x)))))


class Reader(nn.Module):
    """frames [B, 64, 64, 3] uint8 -> raw outputs [B, E + 4]: character, face logit, mouth x, y, aperture."""

    def __init__(self, width: int = 24, head: int = 160) -> None:
        super().__init__()
        self.coordinates = len(owners())
        self.fine = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), _Block(width))
        self.middle = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, 2, 1), _Block(2 * width), _Block(2 * width)
        )
        self.coarse = nn.Sequential(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), _Block(4 * width))
        self.narrow = nn.Conv2d(4 * width, 48, 1)
        self.who = nn.Sequential(nn.Linear(48 * 16, head), nn.SiLU(), nn.Linear(head, self.coordinates + 1))
        # where the mouth is, and what is seen there
        self.place = nn.Conv2d(2 * width + 16, 1, 1)
        self.context = nn.Conv2d(4 * width, 16, 1)
        self.open = nn.Sequential(nn.Linear(3 * width + 16, 48), nn.SiLU(), nn.Linear(48, 1))

    def forward(self, frames: Tensor) -> Tensor:
        x = rearrange(frames, "B H W C -> B C H W").float() / 127.5 - 1
        fine = self.fine(x.contiguous(memory_format=torch.channels_last))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        pooled = functional.avg_pool2d(functional.silu(self.narrow(coarse)), 2)
        who = self.who(rearrange(pooled, "B D h w -> B (D h w)"))
        context = functional.interpolate(self.context(coarse), scale_factor=2, mode="nearest")
        near = torch.cat([middle, context], 1)
        at = functional.softmax(rearrange(self.place(near), "B 1 h w -> B (h w)"), -1)
        at = rearrange(at, "B (h w) -> B 1 h w", h=SIZE // 4)
        ramp = (torch.arange(SIZE // 4, device=x.device) + 0.5) * 4 / SIZE
        mouth = torch.stack([(at * ramp).sum((1, 2, 3)), (at * ramp[:, None]).sum((1, 2, 3))], -1)
        small = reduce(fine, "B D (h a) (w b) -> B D h w", "mean", a=2, b=2)
        seen = (torch.cat([small, near], 1) * at).sum((2, 3))
        return torch.cat([who, mouth, self.open(seen)], 1)

    @torch.inference_mode()
    def read(self, frames: Tensor, batch: int = 64) -> Reading:
        """Read frames [F, H, W, 3] uint8 of any size."""
        raw = torch.cat([self(part) for part in fit(frames.cpu(), SIZE, SIZE).split(batch)])
        who, face, mouth, aperture = raw.split([self.coordinates, 1, 2, 1], 1)
        return Reading(settled(who), face[:, 0].sigmoid(), mouth, aperture[:, 0])


def settled(raw: Tensor) -> Tensor:
    """Raw character outputs [B, E] as points of the embedding: kinds become centred probabilities."""
    parts = []
    for _, kind, block in blocks():
        part = raw[:, block]
        if kind == "categorical":
            count = part.shape[1]
            part = one_hot_scale(count) * (part.softmax(1) - 1 / count)
        parts.append(part)
    return torch.cat(parts, 1)


@dataclass(frozen=True, eq=False)
class Trained:
    """A reader and what is known of it.

    reliability [P]: how well each parameter is read, 1 exact, 0 no better than a guess; cast [100, E]: how it
    reads pictures of the held-out cast.
    """

    reader: Reader
    reliability: Tensor
    cast: Tensor


@cache
def trained() -> Trained:
    """The reader that ships with horsekit."""
    folder = Path(str(files("horsekit"))) / "weights" / "reader"
    weights = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    seen = weights.pop(CAST_KEY)
    reader = Reader()
    reader.load_state_dict(weights)
    card = json.loads((folder / CARD).read_text())
    reliability = torch.tensor([card["reliability"][name] for name, _, _ in blocks()])
    return Trained(reader.eval(), reliability, seen)

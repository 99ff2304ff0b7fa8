"""Networks over cells of 4 × 4 pixels and four frames, on either side of the components of patches.

n groups of frames, B clips, T latents, R RGB, H W pixels, h w latent grid, C channels
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horsekit import clock

GROUP = clock.FRAMES_PER_LATENT
CELL = 4  # pixels
CELL_VALUES = 3 * GROUP * CELL**2


def cells(groups: Tensor) -> Tensor:
    """Groups of frames [n, 4·R, H, W] as cells [n, 4·R·16, H/4, W/4], laid out as a CPU convolves fastest."""
    return F.pixel_unshuffle(groups, CELL).contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """A residual pair of convolutions, 3×3 and 1×1; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.out = _zero(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.gelu(self.mix(x)))


class Analyser(nn.Module):
    """What a group's latents [n, C, h, w] say beyond its patches' components, from its cells, each halving wider.

    widths: of the cells, then of each grid half as fine, down to one place for each patch. Starts at zero.
    """

    def __init__(self, dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers = [nn.Conv2d(CELL_VALUES, widths[0], 1), Block(widths[0]), Block(widths[0])]
        for width, wider in pairwise(widths):
            layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * width, wider, 1), Block(wider), Block(wider)]
        self.layers = nn.Sequential(*layers, _zero(nn.Conv2d(widths[-1], dim, 1)))
        self.to(memory_format=torch.channels_last)

    def forward(self, groups: Tensor) -> Tensor:
        return self.layers(cells(groups)).float()


class Synthesis(nn.Module):
    """What latents [n, C, h, w] say of each cell [n, width, H/4, W/4], each doubling narrower. Starts at zero.

    widths: as the analyser's, of which the cells' own is not used.
    """

    def __init__(self, dim: int, widths: tuple[int, ...], width: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(dim, widths[-1], 1), Block(widths[-1]), Block(widths[-1])]
        for wide, narrower in pairwise(widths[:0:-1]):
            layers += [nn.Conv2d(wide, 4 * narrower, 1), nn.PixelShuffle(2), Block(narrower), Block(narrower)]
        self.layers = nn.Sequential(*layers, _zero(nn.Conv2d(widths[1], 4 * width, 1)), nn.PixelShuffle(2))
        self.to(memory_format=torch.channels_last)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents.contiguous(memory_format=torch.channels_last))


class Refiner(nn.Module):
    """Corrects groups of decoded frames [B, T, 4·R, H, W] by their latents, neighbours and the groups before them.

    A first frame has as many channels to itself as the four frames of a group, so that what it shows is worth
    remembering: each group is refined beside what was noted of the last one. It works on cells of 4×4 pixels and four
    frames, and once on cells of 8×8: wide cells on a coarse grid are what a CPU computes fastest. Starts at zero.
    """

    def __init__(self, dim: int, widths: tuple[int, ...], width: int, coarse: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(CELL_VALUES, width, 1)
        self.synthesis = Synthesis(dim, widths, width)
        self.recall = nn.Conv2d(width, width, 1, bias=False)
        self.before = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.around = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * width, coarse, 1),
            Block(coarse),
            nn.Conv2d(coarse, 4 * width, 1),
            nn.PixelShuffle(2),
        )
        self.after = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.leave = _zero(nn.Conv2d(width, CELL_VALUES, 1))
        nn.init.zeros_(self.recall.weight)
        self.to(memory_format=torch.channels_last)

    def forward(self, groups: Tensor, latents: Tensor, noted: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The groups of latents [B, T, C, h, w] refined, and what is noted of the last of them, to go on from."""
        entered = self.enter(cells(groups.flatten(0, 1))) + self.synthesis(latents.flatten(0, 1))
        entered = entered.unflatten(0, groups.shape[:2])
        made = []
        for x in entered.unbind(1):
            x = self.before(x if noted is None else x + self.recall(noted))
            x = self.after(x + self.around(x))
            made.append(x)
            noted = x.tanh()  # bounded, however long a clip is
        change = self.leave(torch.stack(made, dim=1).flatten(0, 1)).float()
        return groups + F.pixel_shuffle(change, CELL).unflatten(0, groups.shape[:2]), noted


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer

"""A tiny decoder for previews of published latents, in the layout of TAEHV (taew2_2, taeltx2_3).

Causal in a simple way: a block sees the frame it is at and the one before it. Facts of the layout from
github.com/madebyollin/taehv (MIT).

B clips, F frames, T latent frames, h w latent grid, C channels, R RGB
"""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTHS = (256, 128, 64, 64)


class _Memory(nn.Module):
    """A residual block over frames [n, C, H, W] and the frames before them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor, clips: int) -> Tensor:
        frames = rearrange(x, "(B F) C H W -> B F C H W", B=clips)
        before = F.pad(frames, (0, 0, 0, 0, 0, 0, 1, -1)).flatten(0, 1)
        return F.relu(self.conv(torch.cat([x, before], dim=1)) + x)


class _Grow(nn.Module):
    """Every frame becomes `stride` frames."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width, width * stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(self.conv(x), "n (s C) H W -> (n s) C H W", s=self.stride)


class _Soften(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class PreviewDecoder(nn.Module):
    """Latents [B, T, h, w, C] to frames, roughly and fast.

    channels: of the latent; patch: pixels to a side that the last layer writes at once; group: frames to a
    latent, 4 (Wan2.2) or 8 (LTX-2).
    """

    def __init__(self, channels: int = 48, patch: int = 2, group: int = 4) -> None:
        super().__init__()
        if group not in (4, 8):
            raise ValueError(f"{group} frames to a latent; previews exist for 4 and 8")
        self.patch, self.group = patch, group
        grow = (2 if group == 8 else 1, 2, 2)
        layers: list[nn.Module] = [_Soften(), nn.Conv2d(channels, WIDTHS[0], 3, padding=1), nn.ReLU()]
        for width, narrower, stride in zip(WIDTHS, WIDTHS[1:], grow, strict=False):
            layers += [_Memory(width) for _ in range(3)]
            layers += [nn.Upsample(scale_factor=2), _Grow(width, stride)]
            layers += [nn.Conv2d(width, narrower, 3, padding=1, bias=False)]
        layers += [nn.ReLU(), nn.Conv2d(WIDTHS[-1], 3 * patch**2, 3, padding=1)]
        self.decoder = nn.Sequential(*layers)

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [B, T, h, w, C] to frames [B, group·(T − 1) + 1, H, W, R] uint8."""
        clips = latents.shape[0]
        x = rearrange(latents, "B T h w C -> (B T) C h w")
        for layer in self.decoder:
            x = layer(x, clips) if isinstance(layer, _Memory) else layer(x)
        frames = rearrange(F.pixel_shuffle(x, self.patch), "(B F) R H W -> B F H W R", B=clips)
        return (frames[:, self.group - 1 :].clamp(0, 1) * 255).round().to(torch.uint8)

    @classmethod
    def from_pretrained(cls, path: Path | str) -> Self:
        """Read taew2_2 or taeltx2 weights, .safetensors or .pth; the sizes are read off the tensors.

        Errors: ValueError for a file that is missing or of another layout.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path} is missing; get taew2_2.pth from github.com/madebyollin/taehv")
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        state = {name: tensor for name, tensor in state.items() if name.startswith("decoder.")}
        try:
            channels = state["decoder.1.weight"].shape[1]
            patch = round((state["decoder.22.weight"].shape[0] / 3) ** 0.5)
            group = 8 if channels == 128 else 4
            decoder = cls(channels, patch, group)
            decoder.load_state_dict(decoder._trimmed(state))
        except (KeyError, IndexError, RuntimeError) as error:
            raise ValueError(f"{path} is not in the layout of taew2_2 or taeltx2: {error}") from error
        return decoder.eval()

    def _trimmed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Files may hold growing layers of two frames where one is used: the later one counts."""
        wanted = self.state_dict()
        return {
            name: tensor[-len(wanted[name]) :] if name in wanted and tensor.ndim == 4 else tensor
            for name, tensor in state.items()
        }

"""A critic of decoded frames: patch by patch it tells them from true ones, and so teaches a decoder what edges are.

B clips, F frames, R RGB, h w patches of 8 × 8 pixels
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Module):
    """Logits of patches (arXiv 1611.07004), of a frame and the one before it beside what the latents say linearly.

    What the latents do not say the decoder has to make up, and this does not punish it for, as long as it is like what
    clips look like and moves as they do.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers = []
        for channels, wider, stride in ((12, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 1)):
            kernel = 4 if stride == 2 else 3
            layers += [_bounded(channels, wider, kernel, stride), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, _bounded(4 * width, 1, 3, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor, linear: Tensor) -> Tensor:
        """Frames [B, F, H, W, R] from −1 to 1 and their linear decoding, to logits [B·(F−1), 1, h, w]."""
        shown = torch.cat([frames[:, 1:], frames[:, :-1], linear[:, 1:], linear[:, :-1]], dim=-1)
        planes = shown.flatten(0, 1).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        return self.layers(planes).float()


def _bounded(channels: int, wider: int, kernel: int, stride: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(channels, wider, kernel, stride, padding=1))

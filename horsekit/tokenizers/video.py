"""Video and pictures: principal components of space-time patches, what they miss, and a learned refiner behind.

B clips, F frames, T latent frames, g frames of a group, h w latent grid, p patch size, C channels, R RGB
"""

from collections.abc import Sequence
from fractions import Fraction

import torch
from einops import rearrange
from torch import Tensor

from horsekit import clock
from horsekit.tokenizers.cells import CELL, GROUP, Analyser, Refiner
from horsekit.tokenizers.linear import PatchBasis
from horsekit.tokenizers.protocol import LatentTokenizer, TokenizerSpec, require_finite
from horsekit.tokenizers.streaming import StepStream, Stream


class VideoTokenizer(LatentTokenizer):
    """4 frames × 16 × 16 pixels to one latent; the first frame alone, so a picture is a clip of one frame."""

    kind = "cell-video"
    encoder_past = 0
    decoder_reach = (None, 0)

    def __init__(
        self,
        dim: int = 96,
        patch: int = 16,
        width: int = 112,
        coarse: int = 144,
        blocks: int = 2,
        widths: Sequence[int] = (96, 160, 224),
        balance: float = 0.75,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or CELL * 2 ** (len(widths) - 1) != patch:
            raise ValueError(
                f"{len(widths)} widths for patches of {patch}; give one for each of 4, 8, .. pixels"
            )
        self.arguments = {
            "dim": dim, "patch": patch, "width": width, "coarse": coarse, "blocks": blocks, "widths": list(widths),
            "balance": balance,
        }  # fmt: skip
        rate = Fraction(clock.FRAMES_PER_SECOND, GROUP)
        self.spec = TokenizerSpec("cell-video", "video", dim, rate, (GROUP, patch, patch))
        self.patch = patch
        self.first = PatchBasis(3 * patch**2, dim)
        self.later = PatchBasis(3 * GROUP * patch**2, dim)
        self.analyser = Analyser(dim, tuple(widths))
        self.refiner = Refiner(dim, tuple(widths), width, coarse, blocks)

    @torch.no_grad()
    def fit(self, frames: Tensor, groups: Tensor) -> tuple[float, float]:
        """Learn both bases from patches of single frames [n, p·p·R] and of groups of four [m, 4·p·p·R].

        Two thirds of a group's channels are those of its mean frame in the basis of single frames, so that
        pictures, a clip's first frame and whatever stands still have the same latents. Returns the shares of
        variance that each basis explains.
        """
        still = self.spec.dim * 2 // 3
        first = self.first.fit(frames)
        repeated = self.first.basis[:, :still].repeat(GROUP, 1) / GROUP**0.5
        later = self.later.fit(groups, repeated)
        self.later.mean.copy_(self.first.mean.repeat(GROUP))
        self.later.deviation[:still] = self.first.deviation[:still] * GROUP**0.5
        return first.sum().item(), later.sum().item()

    @property
    def spread(self) -> Tensor:
        """The deviation of each channel, in a first latent and, nearly, in later ones."""
        return self.first.spread(self.arguments["balance"])

    def encode(self, media: Tensor) -> Tensor:
        """Frames [B, F, H, W, R] uint8 to latents [B, T, h, w, C].

        Errors: ValueError unless F = 4k + 1 and H, W are multiples of the patch.
        """
        require_finite(media, "clip")
        _, frames, height, width, _ = media.shape
        clock.latent_count(frames)
        if height % self.patch or width % self.patch:
            raise ValueError(f"frames of {width}×{height}; both sides must be multiples of {self.patch}")
        pixels = media.to(self.first.basis.dtype) / 127.5 - 1
        return (self.components(pixels) + self.beyond(pixels)) * self.spread

    def components(self, pixels: Tensor) -> Tensor:
        """The patches' components [B, T, h, w, C] of pixels [B, F, H, W, R] from −1 to 1, each of deviation 1."""
        first, later = self.to_patches(pixels)
        return torch.cat([self.first.encode(first), self.later.encode(later)], dim=1)

    def beyond(self, pixels: Tensor) -> Tensor:
        """What the analyser adds to them; a first frame is taken for a group that stands still."""
        held = torch.cat([pixels[:, :1].expand(-1, GROUP - 1, -1, -1, -1), pixels], dim=1)
        groups = rearrange(held, "B (T g) H W R -> (B T) (g R) H W", g=GROUP)
        return rearrange(self.analyser(groups), "(B T) C h w -> B T h w C", B=len(pixels))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, T, h, w, C] to frames [B, F, H, W, R] uint8. Errors: ValueError for NaN."""
        return _to_bytes(self.decode_pixels(latents))

    def decode_pixels(self, latents: Tensor) -> Tensor:
        """As decode, in floats of about −1 to 1, with gradients."""
        return self._refined(latents, None)[0][:, GROUP - 1 :]

    def linear_pixels(self, latents: Tensor) -> Tensor:
        """As decode_pixels, without the refiner."""
        return self._linear(latents, opening=True).flatten(1, 2)[:, GROUP - 1 :]

    def decoder_stream(self) -> Stream:
        """Decode latents as they come, remembering what was noted of the last one."""
        noted = None

        @torch.no_grad()
        def convert(latent: Tensor) -> Tensor:
            nonlocal noted
            opening = noted is None
            pixels, noted = self._refined(latent, noted)
            return _to_bytes(pixels[:, GROUP - 1 :] if opening else pixels)

        return StepStream(convert, int)

    def _refined(self, latents: Tensor, noted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Four frames to a latent, the first frame of a clip four times, and what is noted to go on from."""
        require_finite(latents, "latent")
        groups = self._linear(latents, opening=noted is None)
        refined, noted = self.refiner(
            rearrange(groups, "B T g H W R -> B T (g R) H W"),
            rearrange(latents, "B T h w C -> B T C h w"),
            noted,
        )
        return rearrange(refined, "B T (g R) H W -> B (T g) H W R", g=GROUP), noted

    def _linear(self, latents: Tensor, opening: bool) -> Tensor:
        """The linear part of the decoder: groups [B, T, 4, H, W, R]; opening: whether the first is a first frame."""
        p = self.patch
        latents = latents / self.spread
        later = self.later.decode(latents[:, int(opening) :])
        later = rearrange(later, "B t h w (g p q R) -> B t g (h p) (w q) R", g=GROUP, p=p, q=p)
        if not opening:
            return later
        first = rearrange(
            self.first.decode(latents[:, :1]), "B t h w (p q R) -> B t 1 (h p) (w q) R", p=p, q=p
        )
        return torch.cat([first.expand(-1, -1, GROUP, -1, -1, -1), later], dim=1)

    def to_patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [B, F, H, W, R] to patches of the first frame and of the groups after it."""
        p = self.patch
        first = rearrange(pixels[:, :1], "B t (h p) (w q) R -> B t h w (p q R)", p=p, q=p)
        later = rearrange(pixels[:, 1:], "B (t g) (h p) (w q) R -> B t h w (g p q R)", g=GROUP, p=p, q=p)
        return first, later

    def positions(self, count: int, origin: float = 0.0) -> Tensor:
        """[start, end) of `count` latent frames in seconds, float64 [count, 2]."""
        return clock.video_intervals(count, origin)

    def encoder_state(self) -> dict[str, Tensor]:
        """All but the refiner, which may be trained further without making caches stale."""
        bases = {k: v for k, v in self.state_dict().items() if not k.startswith("refiner.")}
        # not the spread itself, whose last bits are the processor's
        return {**bases, "balance": torch.tensor(self.arguments["balance"])}


def _to_bytes(pixels: Tensor) -> Tensor:
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

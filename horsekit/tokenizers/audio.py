"""Sound: principal components of log spectra, and a learned spectrum and its inverse on the way back.

B clips, S samples, N tokens, L log-spectral frames (four to a token), K bands, C channels
"""

import math
from fractions import Fraction

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from horsekit import clock
from horsekit.media import Sound
from horsekit.tokenizers.linear import PatchBasis, residual_branch
from horsekit.tokenizers.protocol import LatentTokenizer, TokenizerSpec, require_finite
from horsekit.tokenizers.stft import FFT, HOP, Slopes, phase_slopes, spectrum, waveform_of

FRAMES = 4  # spectral frames to a token
FLOOR = 1e-3
LEAST_VOICE = 0.3  # seconds: less is no voice to know anyone by
LEAST_LEVEL = 1e-3  # root mean square: -60 dB of full scale


def band_matrix(bands: int, sample_rate: int) -> Tensor:
    """Triangles of equal height on the mel scale, at least one bin wide: [bins, K]."""
    bins = torch.linspace(0, sample_rate / 2, FFT // 2 + 1, dtype=torch.float64)
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    mel = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mel / 2595) - 1)
    spacing = sample_rate / FFT
    left = torch.minimum(edges[:-2], edges[1:-1] - spacing)
    right = torch.maximum(edges[2:], edges[1:-1] + spacing)
    rise = (bins[:, None] - left) / (edges[1:-1] - left)
    fall = (right - bins[:, None]) / (right - edges[1:-1])
    weights = torch.minimum(rise, fall).clamp(min=0)
    return (weights / weights.sum(0).clamp(min=1e-9)).float()


def spread_matrix(bands: Tensor) -> Tensor:
    """How log bands make log bins [K, bins]: weights that sum to 1, the nearest band where none reaches."""
    weights = (bands / bands.amax(0)).T
    centres = bands.argmax(0)
    bare = (weights.sum(0) == 0).nonzero()[:, 0]
    weights[(centres[:, None] - bare).abs().argmin(0), bare] = 1
    return weights / weights.sum(0)


class SpectrumRefiner(nn.Module):
    """Log bands [B, L, K] to a log magnitude of every bin and the slopes of its phase, [B, L, bins] each.

    Starts at interpolated bands, and at the slopes that magnitudes imply.
    """

    def __init__(self, bands: int, width: int, blocks: int, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("spread", spread, persistent=False)
        self.enter = nn.Conv1d(bands, width, 3, padding=1)
        self.blocks = nn.ModuleList(residual_branch(nn.Conv1d, width, 5) for _ in range(blocks))
        self.leave = nn.Conv1d(width, 3 * spread.shape[1], 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, logs: Tensor) -> tuple[Tensor, Slopes]:
        x = self.enter(logs.transpose(1, 2))
        for block in self.blocks:
            x = x + block(x)
        louder, *turned = self.leave(x).transpose(1, 2).float().chunk(3, dim=2)
        magnitude = logs @ self.spread + louder
        # what magnitudes imply is a start, with nothing to be learnt through it
        in_time, in_frequency = phase_slopes(magnitude.detach())
        return magnitude, (in_time + turned[0], in_frequency + turned[1])


class AudioTokenizer(LatentTokenizer):
    """16 kHz sound, 25 tokens a second. The phase is not kept: it is found again from the magnitudes."""

    kind = "spectral-audio"
    encoder_past = 1
    decoder_reach = (None, 4)  # phases follow from all that was before

    def __init__(
        self,
        dim: int = 64,
        bands: int = 96,
        width: int = 192,
        blocks: int = 3,
        sample_rate: int = 16_000,
        balance: float = 0.5,
    ) -> None:
        super().__init__()
        self.arguments = {
            "dim": dim, "bands": bands, "width": width, "blocks": blocks, "sample_rate": sample_rate,
            "balance": balance,
        }  # fmt: skip
        rate = Fraction(clock.AUDIO_TOKENS_PER_SECOND)
        self.spec = TokenizerSpec(
            "spectral-audio", "audio", dim, rate, sample_rate=sample_rate, causal=False, lookahead=1
        )
        matrix = band_matrix(bands, sample_rate)
        self.register_buffer("bands", matrix, persistent=False)
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.basis = PatchBasis(FRAMES * bands, dim)
        self.refiner = SpectrumRefiner(bands, width, blocks, spread_matrix(matrix))

    @property
    def spread(self) -> Tensor:
        """The deviation of each channel."""
        return self.basis.spread(self.arguments["balance"])

    @property
    def samples_per_token(self) -> int:
        """Samples to a token: 640 at 16 kHz."""
        return FRAMES * HOP

    def encode(self, media: Tensor) -> Tensor:
        """Waveforms [B, S] in −1..1 to latents [B, N, C], N = S / 640 rounded up.

        Errors: ValueError for NaN or no samples.
        """
        require_finite(media, "sound")
        latents = self.basis.encode(rearrange(self.log_bands(media), "B (N f) K -> B N (f K)", f=FRAMES))
        return latents * self.spread

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, N, C] to waveforms [B, 640·N]. Errors: ValueError for NaN."""
        require_finite(latents, "latent")
        magnitude, slopes = self.log_spectra(latents)
        return waveform_of(_unlogged(magnitude), slopes, self.window)

    def log_bands(self, waveform: Tensor) -> Tensor:
        """Log energies of the bands, [B, L, K]; frame l is centred on the samples 160·l .. 160·(l + 1)."""
        short = -waveform.shape[1] % self.samples_per_token
        return self._in_bands(spectrum(F.pad(waveform, (0, short)), self.window).abs())

    def log_spectra(self, latents: Tensor) -> tuple[Tensor, Slopes]:
        """Latents to log magnitudes [B, L, bins] and the slopes of their phases, with gradients.

        The refiner says how bins share a band; how loud the band is, the latents say, of sounds unlike speech too.
        """
        logs = rearrange(self.basis.decode(latents / self.spread), "B N (f K) -> B (N f) K", f=FRAMES)
        magnitude, slopes = self.refiner(logs)
        made = self._in_bands(_unlogged(magnitude))
        return magnitude + (logs - made) @ self.refiner.spread, slopes

    def _in_bands(self, magnitude: Tensor) -> Tensor:
        """Magnitudes [B, L, bins] to log energies of the bands [B, L, K]."""
        return (magnitude @ self.bands + FLOOR).log()

    def positions(self, count: int, origin: float = 0.0) -> Tensor:
        """[start, end) of `count` audio tokens in seconds, float64 [count, 2]."""
        return clock.audio_intervals(count, origin)

    def encoder_state(self) -> dict[str, Tensor]:
        """The basis and the balance; the refiner may be trained further without making caches stale."""
        basis = {k: v for k, v in self.state_dict().items() if k.startswith("basis.")}
        # not the spread itself, whose last bits are the processor's
        return {**basis, "balance": torch.tensor(self.arguments["balance"])}


def _unlogged(logs: Tensor) -> Tensor:
    """Magnitudes of log magnitudes."""
    return (logs.exp() - FLOOR).clamp(min=0)


def voice_sample(sound: Sound, spec: TokenizerSpec, tokens: int) -> Tensor:
    """The first `tokens` tokens' worth of somebody's speech, mono at the tokenizer's rate, [S].

    Errors: ValueError for one that is too short or too quiet to know anyone by, to be put behind whose it is.
    """
    waveform = sound.mono().resampled(spec.sample_rate).waveform[:, 0]
    waveform = waveform[: round(tokens / spec.rate * spec.sample_rate)]
    if len(waveform) < LEAST_VOICE * spec.sample_rate:
        raise ValueError(f"has {sound.seconds:.2f} s; give a few seconds of speech")
    if waveform.square().mean().sqrt() < LEAST_LEVEL:
        raise ValueError("is silent; give a few seconds of speech")
    return waveform

"""Real footage measured by networks that the user brings: a face embedding, and a SyncNet.

None is shipped and none is downloaded. A network is a file that torch.export.save wrote, with a first dimension
of any size. F frames, N windows, E coordinates of an embedding, K offsets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import is_zipfile

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from horsekit.media import Clip, Picture, Sound

FACE_SIZE = 112
SYNC_SIZE, SYNC_FRAMES, SYNC_REACH = 224, 5, 15  # pixels, frames of a window, frames either way
SYNC_RATE, SYNC_FPS = 16_000, 25
MFCC_PER_FRAME, MFCC_WINDOW, CEPSTRA = 4, 20, 13
_BANDS, _FFT, _WINDOW, _HOP, _LIFTER = 26, 512, 400, 160, 22
_EMPHASIS = 0.97
_TINY = 2.220446049250313e-16
_WANTED = {
    "face": "a face embedding, [N, 3, 112, 112] RGB in -1..1 to [N, E], such as an ArcFace",
    "lips": "SyncNet's branch of pictures, [N, 3, 5, 224, 224] BGR in 0..255 to [N, E]",
    "sound": "SyncNet's branch of sound, [N, 1, 13, 20] MFCC to [N, E]",
}


@dataclass(frozen=True)
class SyncNetScore:
    """What SyncNet says: the offset in frames, positive for sound early; LSE-D, lower is better; LSE-C, higher is."""

    offset: int
    distance: float
    confidence: float


def load_network(path: str | Path, kind: str) -> nn.Module:
    """A network of a kind ("face", "lips" or "sound") from a local file.

    Errors: ValueError when the kind is unknown, or the file is missing or no exported network, with the remedy.
    """
    if kind not in _WANTED:
        raise ValueError(f"no kind of network {kind!r}; use one of {', '.join(_WANTED)}")
    file = Path(path).expanduser()
    remedy = f"give a file written by torch.export.save that holds {_WANTED[kind]}"
    if not file.is_file():
        raise ValueError(f"there is no file {str(path)!r}; {remedy}")
    if not is_zipfile(file):
        raise ValueError(f"{path} is no exported network; {remedy}")
    try:
        return torch.export.load(file).module()
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{path} holds no exported network ({str(error)[:80]}); {remedy}") from error


@torch.inference_mode()
def face_similarity(clip: Clip, pictures: list[Picture], network: nn.Module) -> float:
    """Mean cosine of the face in every frame with the face in every picture, −1 to 1 (FaceSim, arXiv 2411.17440).

    Clip and pictures are cut to the face. ValueError for no pictures.
    """
    return face_cosines(clip.frames, pictures, network).mean().item()


@torch.inference_mode()
def face_cosines(frames: Tensor, pictures: Sequence[Picture], network: nn.Module) -> Tensor:
    """Of each frame [F, H, W, 3] its cosine with each of P pictures, [F, P]. ValueError for no pictures."""
    if not pictures:
        raise ValueError("no pictures of the face; give at least one")
    known = torch.cat([_embedded(picture.pixels[None], network) for picture in pictures])
    return _embedded(frames, network) @ known.T


@torch.inference_mode()
def syncnet_score(clip: Clip, lips: nn.Module, sound: nn.Module) -> SyncNetScore:
    """LSE-D, LSE-C and the offset of a clip that is cut to the face (arXiv 2008.10010, as SyncNet's own script).

    ValueError for a clip that is not of 25 frames a second or has no two windows.
    """
    if clip.fps != SYNC_FPS:
        raise ValueError(
            f"the clip has {float(clip.fps):g} frames a second; SyncNet reads {SYNC_FPS}, convert it"
        )
    coefficients = mfcc(clip.sound)
    windows = min(len(clip.frames) - SYNC_FRAMES, len(coefficients) // MFCC_PER_FRAME - SYNC_FRAMES)
    if windows < 2:
        raise ValueError(f"{len(clip.frames)} frames; SyncNet needs {SYNC_FRAMES + 2} at least")
    pictures = functional.interpolate(
        rearrange(clip.frames.flip(-1).float(), "F H W C -> F C H W"), (SYNC_SIZE, SYNC_SIZE), mode="bilinear"
    )
    seen = torch.cat(
        [lips(rearrange(pictures[k : k + SYNC_FRAMES], "F C H W -> 1 C F H W")) for k in range(windows)]
    )
    heard = sound(
        torch.stack(
            [coefficients[MFCC_PER_FRAME * k :][:MFCC_WINDOW].T[None] for k in range(windows)],
        )
    )
    padded = functional.pad(heard, (0, 0, SYNC_REACH, SYNC_REACH))
    shifted = padded.unfold(0, 2 * SYNC_REACH + 1, 1)  # [N, E, K]
    apart = functional.pairwise_distance(rearrange(shifted, "N E K -> N K E"), seen[:, None]).mean(0)
    best = int(apart.argmin())
    return SyncNetScore(SYNC_REACH - best, apart[best].item(), (apart.median() - apart[best]).item())


def mfcc(sound: Sound) -> Tensor:
    """Mel-frequency cepstra [N, 13] every 10 ms, as SyncNet was trained on: 26 bands, lifter 22, energy first."""
    signal = sound.mono().resampled(SYNC_RATE).waveform[:, 0].double() * 32768
    signal = torch.cat([signal[:1], signal[1:] - _EMPHASIS * signal[:-1]])
    count = 1 + max(0, math.ceil((len(signal) - _WINDOW) / _HOP))
    padded = functional.pad(signal, (0, max(0, (count - 1) * _HOP + _WINDOW - len(signal))))
    power = torch.fft.rfft(padded.unfold(0, _WINDOW, _HOP), n=_FFT).abs().square() / _FFT
    bands = (power @ _mel_bands()).clamp(min=_TINY).log()
    numbers = torch.arange(CEPSTRA, dtype=torch.float64)
    places = (torch.arange(_BANDS, dtype=torch.float64) + 0.5) * torch.pi / _BANDS
    cosines = (numbers[:, None] * places).cos() * (2 / _BANDS) ** 0.5
    cosines[0] /= 2**0.5
    coefficients = bands @ cosines.T * (1 + _LIFTER / 2 * (torch.pi * numbers / _LIFTER).sin())
    coefficients[:, 0] = power.sum(1).clamp(min=_TINY).log()
    return coefficients.float()


@cache
def _mel_bands() -> Tensor:
    """Triangles [bins, bands], their corners rounded down to bins."""
    top = 2595 * math.log10(1 + SYNC_RATE / 2 / 700)
    hertz = 700 * (10 ** (torch.linspace(0, top, _BANDS + 2, dtype=torch.float64) / 2595) - 1)
    corner = ((_FFT + 1) * hertz / SYNC_RATE).floor()
    bins = torch.arange(_FFT // 2 + 1, dtype=torch.float64)[:, None]
    rise = (bins - corner[:-2]) / (corner[1:-1] - corner[:-2])
    fall = (corner[2:] - bins) / (corner[2:] - corner[1:-1])
    return torch.minimum(rise, fall).clamp(min=0)


def _embedded(frames: Tensor, network: nn.Module) -> Tensor:
    """Unit embeddings [F, E] of frames [F, H, W, 3]."""
    pictures = rearrange(frames.float() / 127.5 - 1, "F H W C -> F C H W")
    pictures = functional.interpolate(pictures, (FACE_SIZE, FACE_SIZE), mode="bilinear", antialias=True)
    return functional.normalize(network(pictures), dim=1)

"""The clock: the one place that knows a rate.

25 frames per second; the first video latent is the first frame alone, each later one four frames; 25 audio
tokens per second (SPEC §2.4).

F frames, T latent frames, N audio tokens
"""

import torch
from torch import Tensor

FRAMES_PER_SECOND = 25
AUDIO_TOKENS_PER_SECOND = 25
FRAMES_PER_LATENT = 4


def frame_count(seconds: float) -> int:
    """Frames of a clip of that length: 25·seconds + 1, to the nearest 4k + 1.

    Errors: ValueError when seconds is not a positive number.
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"seconds is {seconds}; give a positive number")
    return max(1, round(seconds * FRAMES_PER_SECOND / FRAMES_PER_LATENT) * FRAMES_PER_LATENT + 1)


def latent_count(frames: int, group: int = FRAMES_PER_LATENT) -> int:
    """Video latents of F frames, `group` to a latent after the first. Errors: ValueError unless F = group·k + 1."""
    if frames < 1 or frames % group != 1:
        below = whole_frames(max(frames, 1), group)
        raise ValueError(f"{frames} frames; a clip has {group}k + 1, so use {below} or {below + group}")
    return (frames - 1) // group + 1


def whole_frames(frames: int, group: int = FRAMES_PER_LATENT) -> int:
    """The most frames, of F at least 1, that fill whole latents: group·k + 1."""
    return (frames - 1) // group * group + 1


def latent_frames(latents: int, group: int = FRAMES_PER_LATENT) -> int:
    """Frames that T video latents decode to: group·(T − 1) + 1."""
    return (latents - 1) * group + 1


def audio_token_count(frames: int) -> int:
    """Audio tokens that accompany F frames."""
    return frames * AUDIO_TOKENS_PER_SECOND // FRAMES_PER_SECOND


def sample_count(frames: int, sample_rate: int) -> int:
    """Samples of the sound of F frames, to the nearest whole sample."""
    return round(frames * sample_rate / FRAMES_PER_SECOND)


def duration(frames: int) -> float:
    """Seconds for which F frames are shown."""
    return frames / FRAMES_PER_SECOND


def frame_times(frames: int) -> Tensor:
    """Start of each frame in seconds, float64 [F]."""
    return torch.arange(frames, dtype=torch.float64) / FRAMES_PER_SECOND


def latent_places(seconds: Tensor) -> Tensor:
    """Where moments lie on the time axis of video latents: audio token n, which starts at n/25 s, at n/4."""
    return seconds * FRAMES_PER_SECOND / FRAMES_PER_LATENT


def video_intervals(latents: int, origin: float = 0.0, group: int = FRAMES_PER_LATENT) -> Tensor:
    """[start, end) of each video latent in seconds, float64 [T, 2]; `origin` is the clip's own start."""
    ends = torch.arange(latents, dtype=torch.float64) * group + 1
    starts = (ends - group).clamp(min=0)
    return origin + torch.stack([starts, ends], dim=1) / FRAMES_PER_SECOND


def audio_intervals(tokens: int, origin: float = 0.0) -> Tensor:
    """[start, end) of each audio token in seconds, float64 [N, 2]."""
    starts = torch.arange(tokens, dtype=torch.float64)
    return origin + torch.stack([starts, starts + 1], dim=1) / AUDIO_TOKENS_PER_SECOND

"""Sounds: a waveform at its sample rate.

Legend: S samples, C channels, K filter taps.
"""

import base64
import io
import math
import os
import wave
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from horsekit.media.container import opened, read
from horsekit.media.files import MediaError, replacing

ZERO_CROSSINGS = 24  # of the sinc on each side: flat to 0.92 of the band, 80 dB down outside it
KAISER = 8.0


@dataclass(frozen=True, eq=False)
class Sound:
    """A waveform [S, C] float32, full scale at -1 and 1, starting at 0 s."""

    waveform: Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        check_waveform(self.waveform, self.sample_rate)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Sound":
        """Read a sound file of any usual kind, or the sound of a video. Raises MediaError."""
        with opened(path, "sound") as (container, path):
            if not container.streams.audio:
                raise MediaError(
                    f"{path} holds no sound. Give a file with a sound track, or export this one again."
                )
            _, audio = read(container, path, video=False)
        assert audio is not None
        return cls(audio.waveform, audio.sample_rate)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a 16-bit WAV file, whole or not at all; values beyond full scale are clipped."""
        path = Path(path).expanduser()
        if path.suffix.lower() != ".wav":
            raise MediaError(f"{path}: a sound is saved as .wav; rename it.")
        check_waveform(self.waveform, self.sample_rate)  # again: a tensor may have changed since
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(self._wav())
        except OSError as error:
            raise MediaError(f"{path} cannot be written: {error}. Choose another folder.") from error
        return path

    def resampled(self, sample_rate: int) -> "Sound":
        """The same sound at another sample rate in Hz, aligned to within a fraction of a sample."""
        return Sound(resample(self.waveform, self.sample_rate, sample_rate), sample_rate)

    def mono(self) -> "Sound":
        """The mean of the channels as one channel."""
        return Sound(self.waveform.mean(1, keepdim=True), self.sample_rate)

    def _wav(self) -> bytes:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(self.waveform.shape[1])
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            values = (self.waveform.detach().cpu().clamp(-1, 1) * 32767).round().to(torch.int16)
            file.writeframes(values.numpy().astype("<i2").tobytes())
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self._wav()).decode()
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio>'


def check_waveform(waveform: Tensor, sample_rate: int) -> None:
    """MediaError unless waveform is [S, C] float32, finite, with a channel and a positive rate."""
    if waveform.ndim != 2 or waveform.dtype != torch.float32 or waveform.shape[1] == 0:
        raise MediaError(
            f"a waveform is [samples, channels] float32, not {list(waveform.shape)} {waveform.dtype}: "
            "one channel is waveform[:, None].float()."
        )
    if sample_rate <= 0:
        raise MediaError(f"a sample rate of {sample_rate} Hz is none: give a positive one, such as 16000.")
    if not bool(waveform.isfinite().all()):
        bad = int((~waveform.isfinite()).sum())
        raise MediaError(
            f"{bad} of {waveform.numel()} waveform values are NaN or infinite: find where they arose."
        )


def resample(waveform: Tensor, rate_in: int, rate_out: int) -> Tensor:
    """Resample [S, C] from one rate to another by a windowed sinc (Kaiser); outside it is silence.

    Sample n of the result is the band-limited waveform at n / rate_out seconds, so nothing moves in time.
    Source: J. O. Smith, Digital Audio Resampling.
    """
    if rate_in <= 0 or rate_out <= 0:
        raise MediaError(f"cannot resample from {rate_in} Hz to {rate_out} Hz: both must be positive.")
    if rate_in == rate_out or len(waveform) == 0:
        return waveform
    samples = round(len(waveform) * rate_out / rate_in)
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    cutoff = 0.96 * min(1.0, rate_out / rate_in)
    reach = math.ceil(ZERO_CROSSINGS / cutoff)
    # sample n lies at n * down / up of the input, so its fraction, and with it the filter, repeats every `up`
    phases = torch.arange(min(up, samples), dtype=torch.float64)[:, None]
    distance = torch.arange(1 - reach, reach + 1) - phases * down % up / up
    window = torch.special.i0(KAISER * (1 - (distance / reach) ** 2).clamp(min=0).sqrt())
    weights = torch.sinc(cutoff * distance) * window
    weights = (weights / weights.sum(1, keepdim=True)).to(waveform)
    padded = functional.pad(waveform, (0, 0, reach, reach + 1))
    resampled = waveform.new_empty(samples, waveform.shape[1])
    for phase in range(len(phases)):
        near = padded[phase * down // up + 1 :].unfold(0, 2 * reach, down)
        rows = resampled[phase::up]
        rows.copy_(near[: len(rows)] @ weights[phase])
    return resampled

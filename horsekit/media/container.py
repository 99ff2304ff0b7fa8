"""Media containers read through PyAV: decoded frames and samples with the times they are presented at.

Legend: F frames, H W height and width, S samples, C channels.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from torch import Tensor

from horsekit.media.files import MediaError, readable

# Playlists and subtitles are no media here: the first would open other files, the second draw letters.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,h264,hevc,ogg,asf,gif,mxf,nut,wav,w64,"
    "mp3,flac,aac,aiff,au,caf,ac3,eac3,amr,wv,ape,tta"
)
MAX_BYTES = 2**31  # decoded frames held at once, and decoded sound
MAX_GAP = 0.02  # seconds; below it a shift between packets is the container's rounding
PICTURES = ((b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"RIFF", "WebP"))
CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time"}


@dataclass(frozen=True, eq=False)
class Frames:
    """Decoded frames: pixels [F, H, W, 3] uint8, times [F] and the end of the last in seconds of the file."""

    pixels: Tensor
    times: Tensor
    end: float
    rate: Fraction | None


@dataclass(frozen=True, eq=False)
class Samples:
    """Decoded sound: waveform [S, C] float32, its rate, and the second of the file at which it starts."""

    waveform: Tensor
    sample_rate: int
    start: float


@contextmanager
def opened(path: str | os.PathLike[str], kind: str) -> Iterator[tuple[InputContainer, Path]]:
    """A media file open for reading, and its path; whatever goes wrong inside becomes a MediaError."""
    path = readable(path, kind)
    try:
        # no other file or address is opened on this one's behalf
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
            yield container, path
    except MediaError:
        raise
    except PermissionError as error:
        raise MediaError(f"{path} may not be read: give yourself the right to read it.") from error
    except (av.FFmpegError, OSError, ValueError, EOFError, OverflowError, MemoryError) as error:
        raise MediaError(_unreadable(path, kind, error)) from error


def tags(container: InputContainer) -> dict[str, str]:
    """What the file says of itself, without the container's own bookkeeping."""
    return {key: value for key, value in container.metadata.items() if key not in CONTAINER_TAGS}


def read(
    container: InputContainer, path: Path, video: bool = True, longest_side: int | None = None
) -> tuple[Frames | None, Samples | None]:
    """Decode the best video stream, if wanted, and the best audio stream, each if there is one."""
    pictures = container.streams.best("video") if video else None
    sounds = container.streams.best("audio")
    streams = [stream for stream in (pictures, sounds) if stream is not None]
    frames, samples = _FrameReader(path, longest_side), _SampleReader(path)
    if pictures is not None:
        pictures.thread_type = "AUTO"
    for packet in container.demux(streams):
        reader = frames if packet.stream is pictures else samples
        if packet.is_corrupt:
            raise MediaError(_damaged(path))
        for frame in packet.decode():
            if not isinstance(frame, reader.kind):  # a stream of sound that names a codec of pictures
                raise MediaError(_damaged(path))
            reader.add(frame)
    for stream, reader in ((pictures, frames), (sounds, samples)):
        if stream is not None:
            _check_whole(stream, reader.end, path)
    return (
        None if pictures is None else frames.result(pictures.guessed_rate),
        None if sounds is None else samples.result(_promised_end(sounds)),
    )


def _damaged(path: Path) -> str:
    return f"{path} is cut off or damaged. Copy or export it again."


class _FrameReader:
    kind = av.VideoFrame

    def __init__(self, path: Path, longest_side: int | None) -> None:
        self.path, self.longest_side = path, longest_side
        self.pixels: list[np.ndarray] = []
        self.times: list[float] = []
        self.end: float | None = None
        self.bytes = 0

    def add(self, frame: av.VideoFrame) -> None:
        time = self.end or 0.0 if frame.time is None else frame.time
        if self.times and time <= self.times[-1]:
            return  # a frame shown for no time
        image = _pixels(frame, self.longest_side)
        if self.pixels and image.shape != self.pixels[0].shape:
            first, now = self.pixels[0].shape, image.shape
            raise MediaError(
                f"{self.path} changes its size from {first[1]}x{first[0]} to {now[1]}x{now[0]} at "
                f"{time:.2f} s. Cut it there into two clips."
            )
        self.bytes += image.nbytes
        if self.bytes > MAX_BYTES:
            raise MediaError(
                f"{self.path} is too long at {image.shape[1]}x{image.shape[0]}: its frames pass "
                f"{MAX_BYTES / 1e9:.0f} GB at {time:.1f} s. Cut it into shorter clips, or read it smaller: "
                "Clip.open(path, longest_side=512)."
            )
        self.pixels.append(image)
        self.times.append(time)
        self.end = time + float((frame.duration or 0) * (frame.time_base or 0))

    def result(self, rate: Fraction | None) -> Frames | None:
        if not self.pixels:
            return None
        times = torch.tensor(self.times, dtype=torch.float64)
        assert self.end is not None
        if (
            self.end <= self.times[-1]
        ):  # the container gives no durations: the last is shown as long as the rest
            self.end = self.times[-1] + (
                float(times.diff().median()) if len(times) > 1 else float(1 / (rate or 25))
            )
        return Frames(torch.from_numpy(np.stack(self.pixels)), times, self.end, rate)


class _SampleReader:
    kind = av.AudioFrame

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pieces: list[np.ndarray] = []
        self.rate, self.length, self.start = 0, 0, 0.0
        self.end: float | None = None
        self.mixer: av.AudioResampler | None = None

    def add(self, frame: av.AudioFrame) -> None:
        if len(frame.layout.channels) > 2:
            # surround as players take it: the voices in the middle at -3 dB on either side, the lowest left out
            self.mixer = self.mixer or av.AudioResampler("fltp", "stereo", frame.sample_rate)
            with suppress(av.FFmpegError, ValueError):  # of layouts that cannot be mixed all channels stay
                (frame,) = self.mixer.resample(frame)
        self._put(frame)

    def _put(self, frame: av.AudioFrame) -> None:
        piece = _waveform(frame)
        if not self.pieces:
            self.rate, self.start = frame.sample_rate, frame.time or 0.0
        elif (frame.sample_rate, piece.shape[1]) != (self.rate, self.pieces[0].shape[1]):
            raise ValueError("its sound changes rate or channels on the way")
        missing = 0 if frame.time is None else round((frame.time - self.start) * self.rate) - self.length
        missing = missing if missing > MAX_GAP * self.rate else 0
        if 4 * piece.shape[1] * (self.length + missing + len(piece)) > MAX_BYTES:
            raise MediaError(
                f"{self.path} is too long: its sound passes {MAX_BYTES / 1e9:.0f} GB at {self.end or 0:.0f} s. Cut it "
                "into shorter files."
            )
        if missing:
            silence = np.zeros((missing, piece.shape[1]), np.float32)
            self.pieces.append(silence)
            self.length += missing
        self.pieces.append(piece)
        self.length += len(piece)
        self.end = self.start + self.length / self.rate

    def result(self, end: float | None) -> Samples | None:
        if not self.pieces:
            return None
        waveform = torch.from_numpy(np.concatenate(self.pieces))
        if end is not None:  # the codec's last block is filled up with silence
            waveform = waveform[: max(0, round((end - self.start) * self.rate))]
        return Samples(waveform, self.rate, self.start)


def _pixels(frame: av.VideoFrame, longest_side: int | None) -> np.ndarray:
    """A frame as upright RGB [H, W, 3]."""
    width, height, rotation = frame.width, frame.height, frame.rotation
    if longest_side is not None and max(width, height) > longest_side:
        shrink = longest_side / max(width, height)
        width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    if not frame.format.is_rgb:
        # untagged: BT.601 in standard definition and BT.709 in high, as players take it
        tagged = frame.colorspace not in (0, 2)
        space = frame.colorspace if tagged else (5 if frame.height < 720 else 1)
        # straight to RGB the colours of 4:2:0 would be repeated, not interpolated: 1.7 dB at 64 x 64
        frame = frame.reformat(
            width=width,
            height=height,
            format="yuv444p",
            src_colorspace=space,
            dst_colorspace=1,
            src_color_range=frame.color_range,
            dst_color_range=1,
            interpolation="LANCZOS",
        )
    image = frame.to_ndarray(width=width, height=height, format="rgb24", interpolation="LANCZOS")
    return np.ascontiguousarray(np.rot90(image, round(rotation / 90)))


def _waveform(frame: av.AudioFrame) -> np.ndarray:
    """Samples of any format as [S, C] float32 in [-1, 1]."""
    values = frame.to_ndarray()
    channels = len(frame.layout.channels)
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return values.astype(np.float32) / -float(np.iinfo(values.dtype).min)
    if not np.isfinite(values).all():
        raise ValueError("its sound holds NaN or infinity")
    return np.clip(values.astype(np.float32), -1, 1)


def _promised_end(stream: av.stream.Stream) -> float | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return float((stream.duration + (stream.start_time or 0)) * stream.time_base)


def _check_whole(stream: av.stream.Stream, end: float | None, path: Path) -> None:
    """A file cut short still promises its whole length in the header."""
    promised = _promised_end(stream)
    if end is None:
        raise MediaError(f"{path}: nothing of its {stream.type} can be decoded. Copy or export it again.")
    if promised is not None and end < promised - max(0.25, 0.02 * promised):
        raise MediaError(
            f"{path} is cut off: its {stream.type} ends at {end:.2f} s of {promised:.2f} s. "
            "Copy or export it again."
        )


def _unreadable(path: Path, kind: str, error: Exception) -> str:
    head = b""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(12)
    for magic, name in PICTURES:
        if head.startswith(magic) and (magic != b"RIFF" or head[8:] == b"WEBP"):
            return f"{path} is a {name} picture, not a {kind}. Read it with Picture.open."
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return (
        f"{path} cannot be read as a {kind} ({reason}): its content is damaged or of another kind, "
        "whatever its name. Copy or export it again, for example as MP4."
    )

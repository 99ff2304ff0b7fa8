"""Clips: frames and their sound on one clock.

Legend: F frames, H W height and width in pixels, S samples, C channels.
"""

import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from horsekit.clock import FRAMES_PER_SECOND, frame_times, sample_count
from horsekit.media.container import MAX_BYTES, Frames, Samples, opened, read, tags
from horsekit.media.files import MediaError, replacing
from horsekit.media.picture import Picture, fit
from horsekit.media.sound import Sound, check_waveform, resample

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CRF = "14"  # at 64 x 64 a file is some 20 kB a second, and the codec costs less than the tokenizer


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames [F, H, W, 3] uint8 at `fps` and a waveform [S, C] float32 at `sample_rate`, both from 0 s on.

    The two are of equal length within one frame. `has_sound` is False for a clip that came without any:
    its waveform is silence. `metadata` is what the file it was read from says of itself.
    """

    frames: Tensor
    waveform: Tensor
    fps: Fraction = Fraction(FRAMES_PER_SECOND)
    sample_rate: int = 16000
    has_sound: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", Fraction(self.fps))
        frames = self.frames
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8 or frames.numel() == 0:
            raise MediaError(
                f"a clip's frames are [frames, height, width, 3] uint8 and at least one, not "
                f"{list(frames.shape)} {frames.dtype}: convert them first."
            )
        if self.fps <= 0:
            raise MediaError(f"{self.fps} frames a second are none: give a positive rate, such as 25.")
        check_waveform(self.waveform, self.sample_rate)
        sound = len(self.waveform) / self.sample_rate
        if abs(sound - self.seconds) > 1.001 / self.fps:
            raise MediaError(
                f"{self.seconds:.3f} s of frames and {sound:.3f} s of sound: cut or pad the sound to "
                f"{round(self.seconds * self.sample_rate)} samples."
            )

    @property
    def seconds(self) -> float:
        """How long the frames are shown, in seconds."""
        return float(len(self.frames) / self.fps)

    @property
    def sound(self) -> Sound:
        """The clip's sound alone."""
        return Sound(self.waveform, self.sample_rate)

    def picture(self, index: int) -> Picture:
        """Frame `index` as a picture; negative numbers count from the end."""
        if not -len(self.frames) <= index < len(self.frames):
            raise IndexError(f"frame {index} of a clip of {len(self.frames)} frames: count from 0.")
        return Picture(self.frames[index])

    @classmethod
    def silent(
        cls, frames: Tensor, fps: Fraction | int = FRAMES_PER_SECOND, sample_rate: int = 16000
    ) -> "Clip":
        """A clip of frames [F, H, W, 3] that has no sound."""
        waveform = torch.zeros(round(len(frames) * sample_rate / Fraction(fps)), 1)
        return cls(frames, waveform, Fraction(fps), sample_rate, has_sound=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str], longest_side: int | None = None) -> "Clip":
        """Read a video of any usual container, upright, its sound aligned with its first frame.

        A variable frame rate becomes 25 frames a second by the times of presentation; nothing is stretched.
        With `longest_side` the frames are scaled down to it while reading. Raises MediaError.
        """
        with opened(path, "clip") as (container, path):
            if not any(not _is_cover(stream) for stream in container.streams.video):
                remedy = (
                    "Read it with Sound.open."
                    if container.streams.audio
                    else "Give a video, or export this one again."
                )
                raise MediaError(f"{path} holds no video. {remedy}")
            metadata = tags(container)
            frames, sound = read(container, path, longest_side=longest_side)
        assert frames is not None
        pixels, fps = _constant_rate(frames, path)
        clip = cls.silent(pixels, fps, sound.sample_rate if sound else 16000)
        waveform = _aligned(sound, float(frames.times[0]), len(clip.waveform)) if sound else clip.waveform
        return cls(pixels, waveform, fps, clip.sample_rate, sound is not None, metadata)

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> Path:
        """Write an MP4 (H.264 4:2:0 and AAC) that browsers play, whole or not at all.

        `metadata` is added to the clip's own, and comes back as `Clip.open(path).metadata`. An odd width or
        height, which 4:2:0 cannot hold, gains one repeated column or row. Raises MediaError.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() not in (".mp4", ".m4v"):
            raise MediaError(f"{path}: a clip is saved as .mp4; rename it.")
        check_waveform(self.waveform, self.sample_rate)  # again: a tensor may have changed since
        if self.waveform.shape[1] > 2:
            raise MediaError(
                f"{self.waveform.shape[1]} channels of sound: an MP4 takes 1 or 2; mix them down first."
            )
        try:
            with replacing(path) as temporary:
                _write(self, temporary, {**self.metadata, **(metadata or {})})
        except (OSError, av.FFmpegError) as error:
            raise MediaError(f"{path} cannot be written: {error}. Choose another folder.") from error
        return path

    def conformed(
        self, height: int, width: int, frames: int | None = None, sample_rate: int = 16000
    ) -> "Clip":
        """The clip as a model takes it: 25 fps, height x width about the centre, mono at one rate.

        Each frame is the one shown at the middle of its interval. `frames` keeps that many from the start;
        left out, all that the clip's time holds. MediaError where the clip is shorter.
        """
        held = int(self.seconds * FRAMES_PER_SECOND + 1e-6)
        wanted = held if frames is None else frames
        if not 1 <= wanted <= held:
            raise MediaError(
                f"{wanted} frames of a clip that holds {held} at {FRAMES_PER_SECOND} a second "
                f"({self.seconds:.2f} s): ask for fewer, or give a longer clip."
            )
        starts = torch.arange(len(self.frames), dtype=torch.float64) / float(self.fps)
        # what is shown several times is resized once
        used, place = _shown(starts, wanted).unique(return_inverse=True)
        waveform = self.sound.mono().resampled(sample_rate).waveform
        samples = sample_count(wanted, sample_rate)
        return Clip(
            fit(self.frames[used], height, width)[place],
            functional.pad(waveform, (0, 0, 0, max(0, samples - len(waveform))))[:samples],
            Fraction(FRAMES_PER_SECOND),
            sample_rate,
            self.has_sound,
            self.metadata,
        )

    def mp4(self) -> bytes:
        """The clip as the bytes of an MP4 file."""
        with tempfile.TemporaryDirectory() as folder:
            return self.save(Path(folder) / "clip.mp4").read_bytes()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.mp4()).decode()
        height, width = self.frames.shape[1:3]
        scale = max(1.0, 256 / max(height, width))
        size = f'width="{round(width * scale)}" height="{round(height * scale)}"'
        poster = base64.b64encode(self.picture(0)._repr_png_()).decode()  # seen before it is played
        source = f'poster="data:image/png;base64,{poster}" src="data:video/mp4;base64,{data}"'
        return f"<video controls loop playsinline {size} {source}></video>"


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _shown(starts: Tensor, frames: int) -> Tensor:
    """For frames of 1/25 s, the number of the source frame on show at the middle of each."""
    middles = frame_times(frames) + 0.5 / FRAMES_PER_SECOND
    return (torch.searchsorted(starts, middles - 1e-6, right=True) - 1).clamp(min=0)


def _constant_rate(frames: Frames, path: Path) -> tuple[Tensor, Fraction]:
    """All frames at their own rate where it is constant, else at 25 a second by their times."""
    starts = frames.times - frames.times[0]
    if frames.rate:
        off = (starts * float(frames.rate) - torch.arange(len(starts))).abs().max()
        if off < 0.25:
            return frames.pixels, frames.rate
    seconds = frames.end - float(frames.times[0])
    count = max(1, round(seconds * FRAMES_PER_SECOND))
    if count * frames.pixels[0].nbytes > MAX_BYTES:
        raise MediaError(
            f"{path} is too long: its frames are shown for {seconds:.0f} s, which at {FRAMES_PER_SECOND} a second is "
            f"{count * frames.pixels[0].nbytes / 1e9:.0f} GB. Cut it into shorter clips, or read it smaller: "
            "Clip.open(path, longest_side=512)."
        )
    return frames.pixels[_shown(starts, count)], Fraction(FRAMES_PER_SECOND)


def _aligned(sound: Samples, origin: float, samples: int) -> Tensor:
    """The waveform from second `origin` of the file on, `samples` long, silence where there is none."""
    offset = round((sound.start - origin) * sound.sample_rate)
    waveform = functional.pad(sound.waveform, (0, 0, offset, 0)) if offset > 0 else sound.waveform[-offset:]
    return functional.pad(waveform, (0, 0, 0, max(0, samples - len(waveform))))[:samples].contiguous()


def _write(clip: Clip, path: Path, metadata: Mapping[str, str]) -> None:
    frames = clip.frames.cpu().numpy()
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    # use_metadata_tags lets an MP4 hold any key; faststart lets a browser play before the last byte
    options = {"movflags": "+faststart+use_metadata_tags"}
    with av.open(str(path), "w", format="mp4", container_options=options) as container:
        container.metadata.update(metadata)
        video = container.add_stream("libx264", rate=clip.fps, options={"crf": CRF, "preset": "medium"})
        video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # 16 to 235
        if clip.has_sound:
            rate = clip.sample_rate if clip.sample_rate in AAC_RATES else 48000
            layout = ("mono", "stereo")[clip.waveform.shape[1] - 1]
            audio = container.add_stream(
                "aac", rate=rate, layout=layout, bit_rate=96000 * clip.waveform.shape[1]
            )
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=1, dst_color_range=1, interpolation="LANCZOS"
            )
            frame.pts, frame.time_base = index, 1 / clip.fps
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if clip.has_sound:
            waveform = resample(clip.waveform.detach().cpu(), clip.sample_rate, rate).clamp(-1, 1)
            waveform = waveform[: round(len(frames) * rate / clip.fps)]
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(waveform.numpy().T), format="fltp", layout=layout
            )
            sound.sample_rate, sound.pts, sound.time_base = rate, 0, Fraction(1, rate)
            container.mux(audio.encode(sound))
            container.mux(audio.encode())

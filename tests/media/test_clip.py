"""Clips: what is written comes back, in place and in time."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.media import Clip, MediaError, Sound

RATE = 16000


def smooth_frames(frames: int = 33, height: int = 64, width: int = 64) -> torch.Tensor:
    """A coloured pattern that moves, with no edge finer than the codec's chroma grid."""
    t, y, x = np.ogrid[:frames, :height, :width]
    waves = [np.sin(x / 9 + t / 5), np.cos(y / 11 - t / 7), np.sin((x + y) / 13)]
    stacked = np.stack(np.broadcast_arrays(*[127 + 100 * wave for wave in waves]), -1)
    return torch.from_numpy(stacked.astype(np.uint8))


def tone(seconds: float, rate: int = RATE, pitch: float = 440.0, channels: int = 1) -> torch.Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (0.5 * torch.sin(2 * torch.pi * pitch * time)).float()[:, None].repeat(1, channels)


def make_clip(frames: int = 33, rate: int = RATE, channels: int = 1) -> Clip:
    return Clip(smooth_frames(frames), tone(frames / 25, rate, channels=channels), sample_rate=rate)


def flash_and_click(frames: int, at: int, rate: int = RATE) -> Clip:
    """Black and silent but for one white frame and a 2 ms click at its start."""
    pixels = torch.zeros(frames, 64, 64, 3, dtype=torch.uint8)
    pixels[at] = 255
    waveform = torch.zeros(frames * rate // 25, 1)
    start = at * rate // 25
    waveform[start : start + rate // 500] = 0.9
    return Clip(pixels, waveform, sample_rate=rate)


def click_time(clip: Clip) -> float:
    """The onset of the loudest 2 ms, in seconds."""
    width = clip.sample_rate // 500
    energy = clip.sound.mono().waveform[:, 0].square().unfold(0, width, 1).sum(1)
    return int(energy.argmax()) / clip.sample_rate


def write_video(
    path,
    times: list[float],
    pixels: torch.Tensor,
    sound: torch.Tensor | None = None,
    sound_start: float = 0.0,
    codec: str = "libx264",
) -> None:
    """Frames at presentation times of our choosing, in milliseconds, as an outside tool might write them."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options={"crf": "10"} if codec == "libx264" else {})
        video.height, video.width = pixels.shape[1:3]
        video.pix_fmt = "yuv444p" if codec == "libx264" else "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        if sound is not None:
            audio = container.add_stream("aac", rate=RATE, layout="mono")
        for time, image in zip(times, pixels, strict=True):
            frame = av.VideoFrame.from_ndarray(image.numpy(), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None:
            block = av.AudioFrame.from_ndarray(sound.numpy().T.copy(), format="fltp", layout="mono")
            block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
            block.pts = round(sound_start * RATE)
            container.mux(audio.encode(block))
            container.mux(audio.encode())


def test_a_saved_clip_comes_back(tmp_path):
    clip = make_clip()
    again = Clip.open(clip.save(tmp_path / "a.mp4"))
    assert again.frames.shape == clip.frames.shape
    assert again.waveform.shape == clip.waveform.shape
    assert (again.fps, again.sample_rate, again.has_sound) == (25, RATE, True)
    error = (again.frames.float() - clip.frames.float()).square().mean()
    assert 10 * torch.log10(255**2 / error) > 38  # dB
    noise = (again.waveform - clip.waveform)[1000:-1000].square().mean()
    assert noise < 1e-3 * clip.waveform.square().mean()


@pytest.mark.parametrize("at", [1, 16, 31])
@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_flash_and_click_stay_together(tmp_path, at, rate):
    again = Clip.open(flash_and_click(33, at, rate).save(tmp_path / "a.mp4"))
    assert int(again.frames.float().mean((1, 2, 3)).argmax()) == at
    assert abs(click_time(again) - at / 25) < 0.003


def test_the_file_is_one_that_browsers_play(tmp_path):
    path = make_clip().save(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert audio.codec_context.name == "aac"
        lengths = [float(stream.duration * stream.time_base) for stream in (video, audio)]
        assert abs(lengths[0] - lengths[1]) <= 1 / 25
        assert abs(lengths[0] - 33 / 25) < 1e-6
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # playable before the last byte


@pytest.mark.parametrize(
    "metadata", [{}, {"prompt": 'Moss says "hé, 你好"\nthen waves', "seed": "7", "x.y": "="}]
)
def test_metadata_round_trips(tmp_path, metadata):
    assert dict(Clip.open(make_clip(5).save(tmp_path / "a.mp4", metadata)).metadata) == metadata


def test_metadata_of_a_clip_is_kept_and_added_to(tmp_path):
    first = Clip.open(make_clip(5).save(tmp_path / "a.mp4", {"prompt": "one", "seed": "1"}))
    second = Clip.open(first.save(tmp_path / "b.mp4", {"seed": "2"}))
    assert dict(second.metadata) == {"prompt": "one", "seed": "2"}


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_any_size_and_length_can_be_saved(tmp_path_factory, frames, height, width):
    clip = Clip(smooth_frames(frames, height, width), torch.zeros(frames * 640, 1))
    again = Clip.open(clip.save(tmp_path_factory.mktemp("clip") / "a.mp4"))
    assert again.frames.shape == (frames, height + height % 2, width + width % 2, 3)
    assert len(again.waveform) == frames * 640


@pytest.mark.parametrize(("rate", "channels"), [(16000, 2), (51200, 2), (22050, 1)])
def test_rates_and_channels(tmp_path, rate, channels):
    again = Clip.open(make_clip(25, rate, channels).save(tmp_path / "a.mp4"))
    assert again.waveform.shape[1] == channels
    assert again.seconds == 1.0
    spectrum = torch.fft.rfft(again.waveform[:, 0]).abs()
    assert int(spectrum.argmax()) == 440


def test_a_clip_without_sound_stays_without(tmp_path):
    again = Clip.open(Clip.silent(smooth_frames(10)).save(tmp_path / "a.mp4"))
    assert not again.has_sound
    assert again.waveform.shape == (6400, 1) and not again.waveform.any()


def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    clip = make_clip(5)
    clip.save(tmp_path / "a.mp4")
    before = (tmp_path / "a.mp4").read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(av.VideoFrame, "from_ndarray", fail)
    with pytest.raises(MediaError, match=r"a\.mp4 cannot be written: disk full"):
        clip.save(tmp_path / "a.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_variable_frame_rate_is_put_on_the_clock(tmp_path):
    # 10 frames a second at first, then 40: the n-th frame's grey value tells when it was shown
    times = [k / 10 for k in range(10)] + [1 + k / 40 for k in range(40)]
    greys = torch.tensor([20 + 100 * time for time in times]).to(torch.uint8)
    pixels = greys[:, None, None, None].expand(-1, 64, 64, 3).contiguous()
    write_video(tmp_path / "a.mkv", times, pixels, flash_and_click(50, 40).waveform)
    clip = Clip.open(tmp_path / "a.mkv")
    assert clip.fps == 25 and abs(len(clip.frames) - 50) <= 1
    shown = (clip.frames.float().mean((1, 2, 3)) - 20) / 100
    middles = (torch.arange(len(clip.frames)) + 0.5) / 25
    lag = middles - shown
    assert lag[:24].min() > -0.03 and lag[:24].max() < 0.13  # each frame of the slow part lasts 0.1 s
    assert lag[26:-1].min() > -0.03 and lag[26:-1].max() < 0.06
    assert abs(click_time(clip) - 1.6) < 0.003


def test_a_slide_show_longer_than_memory_is_refused_before_it_is_held(tmp_path, monkeypatch):
    pixels = torch.zeros(4, 64, 64, 3, dtype=torch.uint8)
    write_video(tmp_path / "a.mkv", [0, 0.1, 20, 40], pixels, torch.zeros(RATE, 1))
    monkeypatch.setattr("horsekit.media.clip.MAX_BYTES", 10_000_000)
    with pytest.raises(MediaError, match=r"a\.mkv is too long: its frames are shown for 40 s.*shorter clips"):
        Clip.open(tmp_path / "a.mkv")


def test_frames_longer_than_memory_are_refused_while_they_are_read(tmp_path, monkeypatch):
    make_clip(33).save(tmp_path / "a.mp4")
    monkeypatch.setattr("horsekit.media.container.MAX_BYTES", 200_000)
    with pytest.raises(MediaError, match=r"a\.mp4 is too long at .*longest_side"):
        Clip.open(tmp_path / "a.mp4")


@pytest.mark.parametrize("start", [0.2, 0.5])
def test_sound_that_starts_later_stays_later(tmp_path, start):
    clip = flash_and_click(50, 25)
    sound = clip.waveform[round(start * RATE) :]
    write_video(tmp_path / "a.mkv", [k / 25 for k in range(50)], clip.frames, sound, start)
    again = Clip.open(tmp_path / "a.mkv")
    assert int(again.frames.float().mean((1, 2, 3)).argmax()) == 25
    assert abs(click_time(again) - 1.0) < 0.005
    assert not again.waveform[: round((start - 0.1) * RATE)].any()


def test_video_that_starts_later_takes_its_sound_along(tmp_path):
    clip = flash_and_click(50, 25)
    write_video(
        tmp_path / "a.mkv", [0.4 + k / 25 for k in range(50)], clip.frames, flash_and_click(60, 35).waveform
    )
    again = Clip.open(tmp_path / "a.mkv")
    assert len(again.frames) == 50
    assert int(again.frames.float().mean((1, 2, 3)).argmax()) == 25
    assert abs(click_time(again) - 1.0) < 0.005


@pytest.mark.parametrize("suffix", ["mkv", "avi", "webm", "mov"])
def test_usual_containers_open(tmp_path, suffix):
    codec = {"avi": "mpeg4", "webm": "libvpx"}.get(suffix, "libx264")
    pixels = smooth_frames(25, 48, 80)
    write_video(tmp_path / f"a.{suffix}", [k / 25 for k in range(25)], pixels, None, codec=codec)
    clip = Clip.open(tmp_path / f"a.{suffix}")
    assert clip.frames.shape == pixels.shape
    assert not clip.has_sound
    error = (clip.frames.float() - pixels.float()).square().mean()
    assert 10 * torch.log10(255**2 / error) > 26


@pytest.mark.parametrize(
    ("space", "colour_range", "tagged"),
    [(1, 1, True), (1, 2, True), (5, 1, True), (5, 2, True), (5, 1, False)],  # untagged: BT.601, 16 to 235
)
def test_colours_are_read_as_they_are_tagged(tmp_path, space, colour_range, tagged):
    colours = torch.tensor([[220, 30, 40], [20, 200, 60], [40, 50, 210], [250, 250, 250], [5, 5, 5]])
    pixels = colours.to(torch.uint8)[:, None, None].expand(-1, 32, 32, 3).contiguous()
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "4"})
        video.height, video.width, video.pix_fmt = 32, 32, "yuv420p"
        if tagged:
            video.codec_context.colorspace, video.codec_context.color_range = space, colour_range
        for image in pixels:
            frame = av.VideoFrame.from_ndarray(image.numpy(), format="rgb24")
            kind = {"dst_colorspace": space, "dst_color_range": colour_range}
            container.mux(video.encode(frame.reformat(format="yuv420p", **kind)))
        container.mux(video.encode())
    read = Clip.open(path).frames[:, 16, 16].int()
    assert (read - colours).abs().max() <= 4


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_telephone_held_sideways_gives_an_upright_clip(tmp_path, degrees):
    upright = torch.full((3, 32, 64, 3), 240, dtype=torch.uint8)
    upright[:, :16, :16, 1:] = 20  # red in the upper left corner
    turns = degrees // 90
    stored = torch.rot90(upright, -turns, (1, 2))
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = *stored.shape[1:3], "yuv420p"
        video.set_display_rotation(degrees)
        for image in stored:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image.numpy().copy(), format="rgb24")))
        container.mux(video.encode())
    frames = Clip.open(path).frames.float()
    assert frames.shape == upright.shape
    assert (frames - upright.float()).abs().mean() < 5


def test_conformed_resamples_on_the_clock():
    fps, frames = 30, 60
    levels = torch.arange(frames, dtype=torch.uint8) * 4
    clip = Clip(levels[:, None, None, None].expand(-1, 90, 120, 3).contiguous(), tone(2.0, 48000), fps, 48000)
    small = clip.conformed(64, 64)
    assert small.frames.shape == (50, 64, 64, 3)
    assert (small.fps, small.sample_rate, len(small.waveform)) == (25, 16000, 32000)
    assert small.seconds == clip.seconds
    middles = (torch.arange(50) + 0.5) / 25
    shown = (small.frames[:, 0, 0, 0].double() / 4 + 0.5) / fps
    assert (shown - middles).abs().max() <= 0.5 / fps + 1e-6
    lag = shown - middles
    assert abs(lag.mean()) < 0.004  # one middle in five lies on the edge of two source frames
    assert abs(lag[:25].mean() - lag[25:].mean()) < 1e-6


def test_conformed_is_the_identity_on_what_conforms():
    clip = make_clip()
    same = clip.conformed(64, 64)
    assert torch.equal(same.frames, clip.frames) and torch.equal(same.waveform, clip.waveform)
    assert torch.equal(clip.conformed(64, 64, frames=9).frames, clip.frames[:9])
    assert len(clip.conformed(64, 64, frames=9).waveform) == 9 * 640


def test_conformed_refuses_to_stretch():
    with pytest.raises(MediaError, match="34 frames of a clip that holds 33"):
        make_clip().conformed(64, 64, frames=34)


def test_conformed_crops_about_the_centre():
    pixels = torch.zeros(2, 64, 128, 3, dtype=torch.uint8)
    pixels[:, :, 32:96] = 200
    clip = Clip(pixels, torch.zeros(1280, 1)).conformed(32, 32)
    assert (clip.frames.float() - 200).abs().max() <= 1


def test_longest_side_shrinks_while_reading(tmp_path):
    Clip.silent(smooth_frames(3, 64, 128)).save(tmp_path / "a.mp4")
    assert Clip.open(tmp_path / "a.mp4", longest_side=32).frames.shape == (3, 16, 32, 3)
    assert Clip.open(tmp_path / "a.mp4", longest_side=500).frames.shape == (3, 64, 128, 3)


def test_a_notebook_shows_a_playing_video():
    html = make_clip(5)._repr_html_()
    assert html.startswith("<video controls") and 'width="256"' in html
    assert "data:video/mp4;base64," in html


def test_mp4_bytes_decode():
    with av.open(io.BytesIO(make_clip(5).mp4())) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_sound_of_a_video(tmp_path):
    clip = make_clip()
    sound = Sound.open(clip.save(tmp_path / "a.mp4"))
    assert len(sound.waveform) == len(clip.waveform)


@pytest.mark.parametrize(
    ("frames", "waveform", "message"),
    [
        (torch.zeros(2, 8, 8, 3), torch.zeros(1280, 1), "uint8"),
        (torch.zeros(0, 8, 8, 3, dtype=torch.uint8), torch.zeros(0, 1), "at least one"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.zeros(1280), r"\[:, None\]"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.full((1280, 1), torch.nan), "1280 of 1280"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.zeros(6400, 1), "0.080 s of frames and 0.400 s"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(frames, waveform, message):
    with pytest.raises(MediaError, match=message):
        Clip(frames, waveform)

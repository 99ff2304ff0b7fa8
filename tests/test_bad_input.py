"""What a person may hand in by mistake: each gets one error that names it and the remedy, or simply works."""

import io
import os
import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from horsekit.media import Clip, MediaError, Picture, Sound

OPENERS: dict[str, Callable[[Path], object]] = {
    "picture": Picture.open,
    "clip": Clip.open,
    "sound": Sound.open,
}
FORMS = ("PNG", "JPEG", "WEBP")


def picture_bytes(form: str, size: tuple[int, int] = (64, 48), **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form, **options)
    return buffer.getvalue()


def clip_bytes(sound: bool = True) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (33, 64, 64, 3), dtype=np.uint8)
    waveform = torch.randn(33 * 640, 1, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    return Clip(torch.from_numpy(noise), waveform, has_sound=sound).mp4()


def wav_bytes(seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * round(16000 * seconds)))
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size; a few bytes of data follow."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def refused(opener: Callable[[Path], object], path: Path, *words: str) -> None:
    """The error is a MediaError that names the file and holds the words."""
    with pytest.raises(MediaError) as caught:
        opener(path)
    message = str(caught.value)
    assert path.name in message
    for word in words:
        assert word in message, message
    assert message.endswith(".") and len(message) < 500 and "\n" not in message


@pytest.mark.parametrize("kind", OPENERS)
class TestAnyMedia:
    def test_missing(self, kind, tmp_path):
        refused(OPENERS[kind], tmp_path / "gone.png", "does not exist", "Check the path")

    def test_folder(self, kind, tmp_path):
        refused(OPENERS[kind], tmp_path, "is a folder", f"one {kind} inside")

    def test_empty(self, kind, tmp_path):
        path = tmp_path / "empty.png"
        path.touch()
        refused(OPENERS[kind], path, "0 bytes", "again")

    def test_pipe_does_not_hang(self, kind, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        refused(OPENERS[kind], tmp_path / "pipe.png", "a device or a pipe")

    def test_impossible_name(self, kind):
        for name in ("a\0b.png", "x" * 5000):
            with pytest.raises(MediaError, match=r"not a usable path|does not exist"):
                OPENERS[kind](Path(name))

    @pytest.mark.parametrize(
        "content",
        [b"just a text\n" * 50, bytes(5000), b"<html>404 not found</html>", b"%PDF-1.4\n" + bytes(100)],
        ids=["text", "zeros", "html", "pdf"],
    )
    @pytest.mark.parametrize("name", ["a.png", "a.mp4", "a.txt", "a"])
    def test_no_media_whatever_its_name(self, kind, content, name, tmp_path):
        path = tmp_path / name
        path.write_bytes(content)
        refused(OPENERS[kind], path)

    def test_the_home_folder_is_known(self, kind, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(MediaError, match=str(tmp_path)):
            OPENERS[kind]("~/gone.png")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9])
def test_truncated_picture(tmp_path, form, part):
    data = picture_bytes(form)
    (tmp_path / "cut.png").write_bytes(data[: int(len(data) * part)])
    refused(Picture.open, tmp_path / "cut.png", "damaged picture", "again")


def test_a_video_given_as_a_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(clip_bytes())
    refused(Picture.open, tmp_path / "a.png", "not a PNG, JPEG or WebP picture", "Convert")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_a_picture_of_another_kind(tmp_path, form):
    (tmp_path / "a.png").write_bytes(picture_bytes(form))
    refused(Picture.open, tmp_path / "a.png", "not a PNG, JPEG or WebP picture", "Convert")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (1, 2**27), (8193, 8192)])
def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png_claiming(*size))
    refused(
        Picture.open,
        tmp_path / "bomb.png",
        f"{size[0]}x{size[1]} pixels, more than the 67,108,864",
        "Scale it down",
    )


def test_a_webp_too_large_is_refused_before_it_is_decoded(tmp_path):
    data = b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(200)
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    (tmp_path / "bomb.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    refused(Picture.open, tmp_path / "bomb.webp", "more than the 67,108,864 pixels", "Scale it down")


def test_a_large_jpeg_is_read_smaller(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("L", (9000, 8000), 77).save(path, "JPEG")
    picture = Picture.open(path)
    assert (picture.width, picture.height) == (1125, 1000)
    assert (picture.pixels == 77).all()


def test_a_large_progressive_jpeg_is_refused(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("L", (9000, 8000), 77).save(path, "JPEG", progressive=True)
    refused(Picture.open, path, "9000x8000", "Scale it down")


def test_odd_exif_data_do_not_spoil_a_sound_picture(tmp_path):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0"):
        data = picture_bytes("JPEG", exif=exif)
        (tmp_path / "a.jpg").write_bytes(data)
        assert Picture.open(tmp_path / "a.jpg").pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_picture_is_read_or_refused(tmp_path_factory, form, seed):
    path = tmp_path_factory.mktemp("fuzz") / "a.png"
    path.write_bytes(damaged(picture_bytes(form), seed))
    try:
        assert Picture.open(path).pixels.dtype == torch.uint8
    except MediaError as error:
        assert path.name in str(error)


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes overwritten, most of them near the start, where the headers are."""
    random, made = np.random.default_rng(seed), bytearray(data)
    for _ in range(random.integers(1, 8)):
        reach = 200 if random.random() < 0.7 else len(made)
        made[random.integers(4, min(reach, len(made)))] = random.integers(256)
    return bytes(made)


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_given_as_a_clip(tmp_path, form):
    (tmp_path / "a.mp4").write_bytes(picture_bytes(form))
    refused(Clip.open, tmp_path / "a.mp4", "picture", "Picture.open")


def test_a_sound_given_as_a_clip(tmp_path):
    (tmp_path / "a.mp4").write_bytes(wav_bytes())
    refused(Clip.open, tmp_path / "a.mp4", "holds no video", "Sound.open")


def test_a_song_with_a_cover_is_no_clip(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(frame.reformat(format="yuvj420p")))
        container.mux(cover.encode())
        block = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        block.sample_rate, block.pts = 16000, 0
        container.mux(audio.encode(block))
        container.mux(audio.encode())
    refused(Clip.open, path, "holds no video", "Sound.open")
    assert abs(Sound.open(path).seconds - 1) < 0.1


def test_a_silent_video_given_as_a_sound(tmp_path):
    (tmp_path / "a.mp4").write_bytes(clip_bytes(sound=False))
    refused(Sound.open, tmp_path / "a.mp4", "holds no sound", "sound track")
    assert not Clip.open(tmp_path / "a.mp4").has_sound


@pytest.mark.parametrize("part", [0.001, 0.01, 0.1, 0.5, 0.8, 0.95])
def test_truncated_clip(tmp_path, part):
    data = clip_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * part)])
    refused(Clip.open, tmp_path / "cut.mp4", "again")
    if part < 0.9:  # the last of the file is picture alone
        refused(Sound.open, tmp_path / "cut.mp4")


def test_truncated_wav(tmp_path):
    (tmp_path / "cut.wav").write_bytes(wav_bytes()[:16000])
    refused(Sound.open, tmp_path / "cut.wav", "cut off", "again")


def test_the_name_of_a_clip_does_not_matter(tmp_path):
    (tmp_path / "a.avi").write_bytes(clip_bytes())
    assert len(Clip.open(tmp_path / "a.avi").frames) == 33


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile secret.mp4\n",
    ],
    ids=["playlist", "concat"],
)
def test_a_file_cannot_pull_in_another(tmp_path, content):
    (tmp_path / "secret.mp4").write_bytes(clip_bytes())
    for name in ("a.mp4", "a.m3u8", "a.ffconcat"):
        (tmp_path / name).write_bytes(content)
        refused(Clip.open, tmp_path / name)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=6102)  # its sound says it is coded as pictures
def test_a_damaged_clip_is_read_or_refused(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("fuzz") / "a.mp4"
    path.write_bytes(damaged(SMALL_CLIP, seed))
    for opener in (Clip.open, Sound.open):
        try:
            opener(path)
        except MediaError as error:
            assert path.name in str(error)


SMALL_CLIP = Clip(torch.zeros(9, 32, 32, 3, dtype=torch.uint8), torch.zeros(9 * 640, 1)).mp4()


def test_odd_sizes_and_one_frame_are_read(tmp_path):
    for height, width, frames in ((33, 65, 3), (1, 1, 1)):
        path = tmp_path / f"{height}.mkv"
        with av.open(str(path), "w") as container:
            video = container.add_stream("ffv1", rate=25)
            video.height, video.width, video.pix_fmt = height, width, "bgr0"
            for _ in range(frames):
                image = np.full((height, width, 3), 90, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="bgr0")
                container.mux(video.encode(frame))
            container.mux(video.encode())
        clip = Clip.open(path)
        assert clip.frames.shape == (frames, height, width, 3) and (clip.frames == 90).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_sound_that_is_no_number_is_not_written(tmp_path, value):
    waveform = torch.zeros(2 * 640, 1)
    clip = Clip(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), waveform)
    waveform[5] = value
    with pytest.raises(MediaError, match="1 of 1280 waveform values are NaN or infinite"):
        clip.save(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    clip = Clip(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.zeros(2 * 640, 1))
    for media, name in ((clip, "a.mp4"), (clip.picture(0), "a.png"), (clip.sound, "a.wav")):
        with pytest.raises(MediaError, match=f"{name} cannot be written.*another folder"):
            media.save(tmp_path / "file" / name)
        media.save(tmp_path / "new" / "folder" / name)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "a.mp4",
        "a.png",
        "a.wav",
    ]


@pytest.mark.parametrize("name", ["a", "a.avi", "a.png"])
def test_a_clip_is_saved_under_a_name_that_fits(tmp_path, name):
    clip = Clip(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.zeros(2 * 640, 1))
    with pytest.raises(MediaError, match=r"saved as \.mp4; rename it"):
        clip.save(tmp_path / name)


def test_seven_channels_are_not_squeezed_into_an_mp4(tmp_path):
    clip = Clip(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.zeros(2 * 640, 7))
    with pytest.raises(MediaError, match=r"7 channels.*mix them down"):
        clip.save(tmp_path / "a.mp4")

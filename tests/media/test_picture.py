"""Pictures: any PNG, JPEG or WebP becomes upright RGB."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from horsekit.media import MediaError, Picture, contact_sheet

RED, WHITE = [220, 20, 30], [255, 255, 255]


def gradient(height: int = 48, width: int = 64) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([4 * x, 5 * y, 2 * (x + y)], -1).astype(np.uint8))


def plain(colour: list[int], height: int, width: int) -> Picture:
    return Picture(torch.tensor(colour, dtype=torch.uint8).expand(height, width, 3).contiguous())


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "a.jpeg", "A.PNG"])
def test_saved_pictures_come_back(tmp_path, name):
    picture = Picture(torch.from_numpy(np.array(gradient())))
    again = Picture.open(picture.save(tmp_path / name))
    assert (again.height, again.width) == (48, 64)
    difference = (again.pixels.float() - picture.pixels.float()).abs()
    assert difference.mean() < (3 if "j" in name else 1e-9)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_the_content_counts_and_not_the_name(tmp_path, form):
    for name in ("a.png", "a.jpg", "a", "a.mp4"):
        gradient().save(tmp_path / name, form)
        assert Picture.open(tmp_path / name).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, form, orientation):
    upright = Image.new("RGB", (64, 32), "white")
    upright.paste((220, 20, 30), (0, 0, 16, 16))  # red in the upper left corner
    flip = Image.Transpose
    stored_as = {
        1: None,
        2: flip.FLIP_LEFT_RIGHT,
        3: flip.ROTATE_180,
        4: flip.FLIP_TOP_BOTTOM,
        5: flip.TRANSPOSE,
        6: flip.ROTATE_90,
        7: flip.TRANSVERSE,
        8: flip.ROTATE_270,
    }[orientation]
    stored = upright if stored_as is None else upright.transpose(stored_as)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a", form, exif=exif)
    picture = Picture.open(tmp_path / "a")
    assert picture.pixels.shape == (32, 64, 3)
    red = picture.pixels.float()[..., 1] < 128
    assert red[4:12, 4:12].all() and not red[:, 32:].any() and not red[24:].any()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16", "RGB", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    source = np.array(gradient().convert("L"))
    if mode == "I;16":
        image = Image.fromarray(source.astype(np.uint16) * 257)
    elif mode == "1":
        image = Image.fromarray(source > 127)
        source = np.where(source > 127, 255, 0)
    elif mode == "P":
        image = Image.fromarray(source).convert("RGB").quantize(256)
    else:
        image = Image.fromarray(source).convert("RGB").convert(mode)
    path = tmp_path / "a"
    image.save(path, "JPEG" if mode == "CMYK" else "PNG", **({"quality": 95} if mode == "CMYK" else {}))
    pixels = Picture.open(path).pixels
    assert pixels.shape == (48, 64, 3) and pixels.dtype == torch.uint8
    wanted = torch.from_numpy(source.astype(np.float32))[..., None]
    assert (pixels.float() - wanted).abs().mean() < (2 if mode in ("P", "CMYK") else 1)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette", "colour key"])
def test_transparency_is_laid_over_white(tmp_path, kind):
    if kind in ("RGBA", "LA"):
        image = Image.new("RGBA", (16, 16), (0, 0, 0, 0)).convert(kind)
        image.save(tmp_path / "a.png")
    elif kind == "palette":
        Image.new("P", (16, 16), 0).save(tmp_path / "a.png", transparency=0)
    else:
        Image.new("RGB", (16, 16), (1, 2, 3)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert (Picture.open(tmp_path / "a.png").pixels == 255).all()


def test_half_transparency_blends(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert (Picture.open(tmp_path / "a.png").pixels == 127).all()


def test_an_animated_webp_gives_its_first_picture(tmp_path):
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], lossless=True)
    assert Picture.open(tmp_path / "a.webp").pixels[0, 0].tolist() == [255, 0, 0]


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 200), st.integers(16, 200), st.integers(8, 64), st.integers(8, 64))
def test_fitted_has_the_size_and_keeps_a_plain_colour(height, width, new_height, new_width):
    picture = plain(RED, height, width).fitted(new_height, new_width)
    assert picture.pixels.shape == (new_height, new_width, 3)
    assert (picture.pixels == torch.tensor(RED)).all()


def test_fitted_crops_the_centre_and_does_not_alias():
    y, x = np.mgrid[:256, :512]
    checks = np.where((x + y) % 2, 255, 0)[..., None].repeat(3, -1).astype(np.uint8)
    checks[:, :128] = checks[:, 384:] = [255, 0, 0]
    small = Picture(torch.from_numpy(checks)).fitted(64, 64).pixels.float()
    assert (small[:, 2:-2] - 127.5).abs().max() < 3  # neither the red sides nor a moiré pattern


def test_too_small_for_a_reference_is_said_with_the_limit(tmp_path):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "a.png")
    picture = Picture.open(tmp_path / "a.png")
    assert picture.pixels.tolist() == [[[255, 0, 0]]]
    with pytest.raises(MediaError, match=r"1x1 pixels is too small to fill 64x64.*at least 16x16 pixels"):
        picture.fitted(64, 64)
    assert plain(RED, 16, 16).fitted(64, 64).height == 64
    with pytest.raises(MediaError, match="too small"):
        plain(RED, 16, 15).fitted(64, 64)


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(MediaError, match=r"a\.png cannot be written"):
        plain(RED, 4, 4).save(tmp_path / "a.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(MediaError, match=r"one of \.png"):
        plain(RED, 4, 4).save(tmp_path / "a.bmp")


def test_a_notebook_shows_a_png():
    assert Image.open(io.BytesIO(plain(RED, 4, 6)._repr_png_())).size == (6, 4)


def test_pixels_of_another_kind_are_refused():
    for wrong in (torch.zeros(4, 4, 3), torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(0, 4, 3).byte()):
        with pytest.raises(MediaError, match="pixels"):
            Picture(wrong)


def test_contact_sheet_lays_out_rows():
    rows = [[plain(RED, 8, 8), plain(WHITE, 8, 8)], [plain(WHITE, 4, 16)]]
    sheet = contact_sheet(rows, scale=3).pixels
    assert sheet.shape == (2 + (24 + 2) + (12 + 2), 2 + 2 * (24 + 2), 3)
    assert (
        sheet[10, 10].tolist() == RED and sheet[10, 40].tolist() == WHITE and sheet[32, 40].tolist() == WHITE
    )
    assert (sheet == 255).all(-1).sum() == 24 * 24 + 12 * 48


def test_contact_sheet_labels_stand_at_the_left():
    rows = [[plain(RED, 32, 32)], [plain(RED, 32, 32)]]
    bare, labelled = contact_sheet(rows), contact_sheet(rows, labels=["true", "made"])
    assert labelled.width > bare.width and labelled.height == bare.height
    margin = labelled.width - bare.width
    assert labelled.pixels[:, :margin].max() > 200  # letters
    assert torch.equal(labelled.pixels[:, margin + 2 :], bare.pixels[:, 2:])
    with pytest.raises(MediaError, match="1 labels for 2 rows"):
        contact_sheet(rows, labels=["true"])
    with pytest.raises(MediaError, match="at least one"):
        contact_sheet([])

"""Pictures: any PNG, JPEG or WebP as plain RGB.

Legend: F frames, H W height and width in pixels, C colour channels.
"""

import io
import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torch import Tensor
from torch.nn import functional

from horsekit.media.files import MediaError, readable, replacing

MAX_PIXELS = 2**26  # 8192 x 8192: 0.2 GB as RGB, and more than any model here looks at
MAX_ENLARGEMENT = 4  # enlarged further, a 16-pixel patch would hold less than 4 x 4 pixels of its own
WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Picture:
    """An RGB picture: pixels [H, W, 3] uint8."""

    pixels: Tensor

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[-1] != 3 or self.pixels.dtype != torch.uint8:
            raise MediaError(
                f"a picture's pixels are [height, width, 3] uint8, not {list(self.pixels.shape)} "
                f"{self.pixels.dtype}: convert them first."
            )
        if self.pixels.numel() == 0:
            raise MediaError(
                f"a picture of size {self.width}x{self.height} has no pixels: give at least one."
            )

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.pixels.shape[1]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Picture":
        """Read a PNG, JPEG or WebP picture, known by its content and not by its name.

        EXIF rotation is applied, alpha is laid over white, 16-bit depth becomes 8-bit. A JPEG above 67
        million pixels is decoded at a reduced size; any other such picture is refused. Raises MediaError.
        """
        path = readable(path, "picture")
        # Pillow warns about size and odd metadata: the size is checked here, and the rest harms nothing
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with path.open("rb") as file:
                    image = _recognised(file, path)
                    _limit_size(image, path)
                    image.load()
                    with suppress(*BROKEN):  # unreadable EXIF data say nothing of a rotation
                        ImageOps.exif_transpose(image, in_place=True)
                    return cls(_rgb(image))
            except MediaError:
                raise
            except Image.DecompressionBombError as error:  # the WebP reader asks Pillow's own limit
                raise _too_large(path, "far more") from error
            except PermissionError as error:
                raise MediaError(f"{path} may not be read: give yourself the right to read it.") from error
            except BROKEN as error:
                raise MediaError(
                    f"{path} is a damaged picture ({str(error) or type(error).__name__}). "
                    "Copy or export it again."
                ) from error

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture as PNG, JPEG or WebP by the suffix, whole or not at all."""
        path = Path(path).expanduser()
        form = WRITTEN.get(path.suffix.lower())
        if form is None:
            raise MediaError(f"{path}: a picture is saved as one of {', '.join(WRITTEN)}; rename it.")
        try:
            with replacing(path) as temporary:
                _image(self).save(temporary, form, quality=95, lossless=True)
        except OSError as error:
            raise MediaError(f"{path} cannot be written: {error}. Choose another folder.") from error
        return path

    def fitted(self, height: int, width: int) -> "Picture":
        """The centre of the picture at the size wanted: cropped to its shape, resized without aliasing.

        MediaError where it would be enlarged more than four times.
        """
        scale = max(height / self.height, width / self.width)
        if scale > MAX_ENLARGEMENT:
            least = f"{-(-width // MAX_ENLARGEMENT)}x{-(-height // MAX_ENLARGEMENT)}"
            raise MediaError(
                f"a picture of {self.width}x{self.height} pixels is too small to fill {width}x{height}: "
                f"enlarged {scale:.0f} times it shows nothing of its subject. Give at least {least} pixels."
            )
        return Picture(fit(self.pixels[None], height, width)[0])

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        _image(self).save(buffer, "PNG")
        return buffer.getvalue()


def fit(frames: Tensor, height: int, width: int) -> Tensor:
    """Crop frames [F, H, W, 3] uint8 about the centre to the shape of height x width, and resize to it."""
    assert height > 0 and width > 0
    full_height, full_width = frames.shape[1:3]
    scale = max(height / full_height, width / full_width)
    crop_height = min(full_height, max(1, round(height / scale)))
    crop_width = min(full_width, max(1, round(width / scale)))
    top, left = (full_height - crop_height) // 2, (full_width - crop_width) // 2
    frames = frames[:, top : top + crop_height, left : left + crop_width]
    if (crop_height, crop_width) == (height, width):
        return frames.contiguous()
    resized = [
        functional.interpolate(
            rearrange(group, "F H W C -> F C H W").float(), (height, width), mode="bicubic", antialias=True
        )
        for group in frames.split(max(1, 2**24 // (crop_height * crop_width)))  # bounded memory in float32
    ]
    return rearrange(
        torch.cat(resized).round().clamp(0, 255).to(torch.uint8), "F C H W -> F H W C"
    ).contiguous()


def contact_sheet(
    rows: Sequence[Sequence[Picture]], scale: int = 1, labels: Sequence[str] | None = None
) -> Picture:
    """Lay pictures out in rows on dark grey, each enlarged `scale` times pixel by pixel.

    `labels`, one a row, are written at its left.
    """
    if not rows or not all(rows):
        raise MediaError("a contact sheet needs at least one row, and a picture in each: give some.")
    if labels is not None and len(labels) != len(rows):
        raise MediaError(f"{len(labels)} labels for {len(rows)} rows: give one for each.")
    gap, font = 2, ImageFont.load_default(12)
    margin = gap + (max(int(font.getlength(label)) for label in labels) + 3 * gap if labels else 0)
    heights = [scale * max(picture.height for picture in row) for row in rows]
    widths = [sum(scale * picture.width + gap for picture in row) for row in rows]
    sheet = Image.new("RGB", (margin + max(widths), gap + sum(heights) + gap * len(rows)), (40, 40, 40))
    pen, y = ImageDraw.Draw(sheet), gap
    for index, row in enumerate(rows):
        if labels:
            pen.text((gap, y + heights[index] // 2), labels[index], fill="white", font=font, anchor="lm")
        x = margin
        for picture in row:
            size = (scale * picture.width, scale * picture.height)
            sheet.paste(_image(picture).resize(size, Image.Resampling.NEAREST), (x, y))
            x += size[0] + gap
        y += heights[index] + gap
    return Picture(torch.from_numpy(np.array(sheet)))


def _image(picture: Picture) -> Image.Image:
    return Image.fromarray(picture.pixels.cpu().numpy())


def _recognised(file: BinaryIO, path: Path) -> ImageFile:
    """The picture's reader by its first bytes: Image.open would enforce a process-wide limit of its own."""
    head = file.read(16)
    file.seek(0)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile(file)
    if head.startswith(b"\xff\xd8\xff"):
        return JpegImageFile(file)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WebPImageFile(file)
    raise MediaError(f"{path} is not a PNG, JPEG or WebP picture. Convert it to one of these.")


def _limit_size(image: ImageFile, path: Path) -> None:
    width, height = image.size
    if width * height <= MAX_PIXELS:
        return
    # a progressive JPEG keeps every coefficient in memory whatever size it is decoded at
    if isinstance(image, JpegImageFile) and not image.info.get("progressive"):
        image.draft("RGB", (width // 8, height // 8))
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise _too_large(path, f"{width}x{height} pixels, more")


def _too_large(path: Path, size: str) -> MediaError:
    return MediaError(
        f"{path} has {size} than the {MAX_PIXELS:,} pixels that are read. "
        "Scale it down first, for example to 2048 pixels on its longer side."
    )


def _rgb(image: Image.Image) -> Tensor:
    """Any mode as pixels [H, W, 3] uint8; transparency is laid over white."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        grey = np.asarray(image).astype(np.int64) * 255 // 65535
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, "white")
        image.alpha_composite(layer)
    return torch.from_numpy(np.array(image if image.mode == "RGB" else image.convert("RGB")))

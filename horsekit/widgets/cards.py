"""Pieces of HTML that the widgets are made of: plain markup with inlined media, safe from any text put in."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from PIL import Image

from horsekit.media import Clip, Picture
from horsekit.terms import terms

THUMBNAIL = 160
PREVIEW_MS = 40


class Measure(NamedTuple):
    """One number about a clip as a person reads it; `note` says what it means, or why there is none."""

    name: str
    value: str
    note: str = ""


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def video(clip: Clip) -> str:
    """The clip as a player that loops, with sound."""
    source = data_uri(clip.mp4(), "video/mp4")
    return f'<video class="hk-screen" controls loop autoplay playsinline src="{source}"></video>'


def moving_picture(clip: Clip) -> str:
    """The clip's frames as an animation without sound: quick to make, for looks along the way."""
    frames = [Image.fromarray(frame) for frame in clip.frames.cpu().numpy()]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=PREVIEW_MS,
        loop=0,
        quality=75,
        method=0,
    )
    return f'<img class="hk-screen" alt="preview" src="{data_uri(buffer.getvalue(), "image/webp")}">'


def thumbnail(picture: Picture) -> str:
    """A small square of the picture."""
    if min(picture.height, picture.width) > THUMBNAIL:
        picture = picture.fitted(THUMBNAIL, THUMBNAIL)
    return f'<img class="hk-thumb" alt="" src="{data_uri(picture._repr_png_(), "image/png")}">'


def references(slots: Sequence[Sequence[Picture]]) -> str:
    """All reference pictures, under the names by which a prompt mentions them."""
    columns = (
        f"<figure>{''.join(map(thumbnail, pictures))}<figcaption>[Image {slot}]</figcaption></figure>"
        for slot, pictures in enumerate(slots, start=1)
    )
    return f'<div class="hk-references">{"".join(columns)}</div>'


def measures(rows: Iterable[Measure]) -> str:
    """Numbers with their meaning."""
    cells = (
        f"<div><span>{escape(row.name)}</span><strong>{escape(row.value)}</strong>"
        f"<small>{escape(row.note)}</small></div>"
        for row in rows
    )
    return f'<div class="hk-measures">{"".join(cells)}</div>'


def understood(prompt: str) -> str:
    """The terms of camera and light in which a model reads a prompt, shot by shot."""
    shots = (" · ".join(found) for _, found in terms(prompt))
    return f'<div class="hk-terms">{" | ".join(shots)}</div>'


def message(text: str, kind: str = "note") -> str:
    """A line for the reader; kind is note or error."""
    role = ' role="alert"' if kind == "error" else ""
    return f'<div class="hk-message hk-{kind}"{role}>{escape(text)}</div>' if text else ""

"""A clip's measures as the studio shows them."""

from collections.abc import Sequence

from horsekit.media import Clip, Picture
from horsekit.widgets.cards import Measure


def measure(clip: Clip, references: Sequence[Sequence[Picture]]) -> list[Measure]:
    """Sound against mouth, and character against its pictures; a reason where there is no number."""
    return [_sync(clip), *_identity(clip, references)]


def _sync(clip: Clip) -> Measure:
    from horsekit.metrics import sync

    timing = sync(clip)
    if not timing.usable:
        return Measure("Lip-sync", "not measured", timing.reason)
    side = "early" if timing.offset > 0 else "late"
    return Measure("Lip-sync", f"{timing.offset:+.0f} ms", f"sound {side}; match {timing.peak:.2f} of 1")


def _identity(clip: Clip, references: Sequence[Sequence[Picture]]) -> list[Measure]:
    from horsekit.metrics import identity

    if len(references) != 1:
        reason = "no reference picture" if not references else "only measured with one character in shot"
        return [Measure("Likeness", "not measured", reason)]
    return [Measure("Likeness", f"{identity(clip, references[0]):.2f}", "error to the references")]

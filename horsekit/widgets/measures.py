"""A clip's measures as the studio shows them."""

from collections.abc import Callable, Sequence

from horsekit.media import Clip, Picture
from horsekit.widgets.cards import Measure

UNKNOWN = "not measured"


def measure(clip: Clip, references: Sequence[Sequence[Picture]]) -> list[Measure]:
    """Sound against mouth, and character against its pictures; a reason where there is no number."""
    return [
        _or_reason("Lip-sync", lambda: _sync(clip)),
        _or_reason("Likeness", lambda: _likeness(clip, references)),
    ]


def _or_reason(name: str, measured: Callable[[], Measure]) -> Measure:
    try:
        return measured()
    except (ValueError, OSError) as error:
        return Measure(name, UNKNOWN, str(error))


def _sync(clip: Clip) -> Measure:
    from horsekit.metrics import sync_of

    timing = sync_of(clip)
    if not timing.usable:
        return Measure("Lip-sync", UNKNOWN, timing.reason)
    side = "sound early" if timing.offset > 0 else "sound late"
    return Measure("Lip-sync", f"{timing.offset:+.0f} ms", f"{side}; match {timing.peak:.2f}")


def _likeness(clip: Clip, references: Sequence[Sequence[Picture]]) -> Measure:
    from horsekit.metrics import Crowd, identity_of, trained

    if len(references) != 1:
        reason = "needs one character in shot" if references else "needs a reference picture"
        return Measure("Likeness", UNKNOWN, reason)
    crowd = Crowd.around(references[0])
    who = identity_of(trained().reader.read(clip.frames), crowd.points, 0, float(clip.fps))
    if who.reason:
        return Measure("Likeness", UNKNOWN, who.reason)
    verdict = "closer than" if who.found else "but nearer to"
    return Measure(
        "Likeness", f"{who.own:.2f} σ", f"from its pictures; {verdict} others at {who.other:.2f} σ"
    )

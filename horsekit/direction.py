"""What cannot be played as it is written: a camera sent two ways at once, a line said softly and loudly, more words
than there is time for."""

import re
from itertools import combinations, permutations

from horsekit.dialogue import OPPOSITE_MANNERS, SIGNS
from horsekit.prompt import Prompt, PromptError, Shot, quoted, timed_lines, unquoted
from horsekit.terms import OPPOSITE, camera_moves

FASTEST, FASTEST_SIGNS = 40.0, 15.0  # letters and signs of CJK that the fastest voice can say in a second
_AFTER = re.compile(r"\b(then|before|after(wards)?|and back|first|finally|next)\b", re.IGNORECASE)
_AND = r"\s*(?:,|\band\b|\bbut\b)(?:\s*\band\b)?\s*"
_BOTH_WAYS = [
    re.compile(rf"\b(?:{one}){_AND}(?:{other})\b", re.IGNORECASE)
    for manners in OPPOSITE_MANNERS
    for one, other in permutations(manners)
]
_CJK = re.compile("|".join(SIGNS))


def check_directions(text: str, seconds: float) -> None:
    """Refuse a prompt that no clip of that length can follow.

    Errors: PromptError for a shot whose camera is sent two ways at once, or stands still and moves, for a line in two
    opposite manners, and for one that nobody can say in the time there is; it names them and the remedy.
    """
    for shot in Prompt.parse(text).shots:
        _check_camera(shot)
        _check_manner(shot)
    known = {line.first: line.end - line.start for line in timed_lines(text)}
    for first, last in quoted(text):
        _check_line(text[first:last], known.get(first, seconds))


def _check_camera(shot: Shot) -> None:
    if _AFTER.search(shot.camera):
        return
    moves = camera_moves(shot.camera) - {("handheld", "")}  # which sways, whatever else the camera does
    for a, b in combinations(sorted(moves), 2):
        opposed = a[0] == b[0] and {a[1], b[1]} in ({k, v} for k, v in OPPOSITE.items())
        if opposed or "static" in (a[0], b[0]):
            said = " and ".join(" ".join(move).strip() for move in (a, b))
            raise PromptError(
                f"the camera is asked for {said} at once ({shot.camera!r}); drop one, or put them into two shots: "
                "[00:00-00:01] ... [00:01-00:02] ..."
            )


def _check_manner(shot: Shot) -> None:
    told = unquoted(shot.dialogue)
    for pattern in _BOTH_WAYS:
        if found := pattern.search(told):
            raise PromptError(
                f"a line is to be said {found[0]!r}, which no voice can; drop one, or put each on a line of its own"
            )


def _check_line(words: str, seconds: float) -> None:
    signs = len(_CJK.findall(words))
    least = signs / FASTEST_SIGNS + (len(words) - signs) / FASTEST
    if least > seconds:
        raise PromptError(
            f"{words[:40]!r}{'...' if len(words) > 40 else ''} cannot be said in {seconds:g} s; shorten it, or give it "
            f"at least {2 * least:.1f} s"
        )

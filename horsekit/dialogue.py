"""How lines are said: the words for their manners, how long they take, and when those without a time are said."""

import re
from collections.abc import Sequence

from horsekit.prompt import Prompt, is_said, quoted, sentences, timed_lines, unquoted
from horsekit.terms import camera_moves

SLOW = r"slow(?:ly)?|at a slow pace|drawing out the words"
FAST = r"quick(?:ly)?|fast|at a fast pace|in a hurry"
# pairs of manners of which a line can have one
OPPOSITE_MANNERS = (
    (
        r"soft(?:ly)?|quiet(?:ly)?|in a (?:soft|low|quiet) voice|under the breath",
        r"loud(?:ly)?|in a loud voice",
    ),
    (SLOW, FAST),
    (
        r"flat(?:ly)?|in a monotone|without expression",
        r"lively|in a lively tone|with much expression|in a singsong",
    ),
)
# in a second, as the stage's voices say the stage's lines: signs of Han, of Hangul, of kana, and letters of all others
SIGNS = {r"[\u3400-\u9fff]": 4.2, r"[\uac00-\ud7af]": 5.9, r"[\u3040-\u30ff]": 8.2}
_LETTERS = 15.6
_PACES = {SLOW: 0.6, FAST: 1.2}
_MANNER = re.compile(
    rf"\b(?:very|{'|'.join(manner for pair in OPPOSITE_MANNERS for manner in pair)})\b", re.IGNORECASE
)
_CLAUSES = re.compile(r"[,;]|\b(?:as|while|when|until|and|then)\b", re.IGNORECASE)
_CAMERA = re.compile(r"\b(?:camera|lens|shot|view)\b", re.IGNORECASE)
_START = 0.13  # seconds before the first line
PAUSE = 0.2  # seconds between two
_LEAST = 0.05  # seconds


def timed(text: str, seconds: float, begin: float = 0.0) -> str:
    """The prompt with a time for every line that has none, one after another, from `begin` on and up to `seconds`.

    Each takes as long as it takes to say it, as far as its letters and its manner tell, keeps to the time of its shot
    and ends before a later line whose time is given; a line for which nothing is left stays without one.
    """
    lines, given = _lines(text), {line.first: line for line in timed_lines(text)}
    shots, told = Prompt.parse(text).shots, sentences(text)
    shown = [shot.text() for shot in shots]
    at, pieces, done = begin + _START, [], 0
    for number, (first, last) in enumerate(lines):
        if first in given:
            at = max(at, given[first].end + PAUSE)
            continue
        words = text[first - 1 : last + 1]
        before = sum(text[a - 1 : b + 1] == words for a, b in lines[:number])  # the same, said earlier
        until = min([seconds, *(given[later].start for later, _ in lines[number:] if later in given)])
        shot, start = _holder(words, before, shown), at
        over = False
        if shot is not None and shots[shot].start is not None:
            over = shots[shot].end <= begin  # of what is there already
            start = shots[shot].start + _START if over else max(at, shots[shot].start + _START)
            until = min(until, shots[shot].end)
        sentence = _holder(words, before, told)
        manner = _manner(words if sentence is None else told[sentence])
        end = min(until, start + spoken_seconds(words[1:-1], manner))
        if end - start < _LEAST:
            continue
        pieces.append(f"{text[done : last + 1]} ({start:.2f}-{end:.2f} s)")
        done, at = last + 1, at if over else end + PAUSE
    return "".join(pieces) + text[done:]


def _lines(text: str) -> list[tuple[int, int]]:
    """What is quoted and plainly said, where anything is, or else all that is quoted."""
    lines = quoted(text)
    return [line for line in lines if is_said(text, line[0])] or lines


def _holder(words: str, before: int, texts: Sequence[str]) -> int | None:
    """Which of some texts in a row holds the words that stand `before` times in them already."""
    for number, text in enumerate(texts):
        before -= text.count(words)
        if before < 0:
            return number
    return None


def _manner(sentence: str) -> str:
    """What a sentence tells of how its line is said; its clauses may tell as well how somebody or the camera moves.

    Of the line are its own clause, the ones beside it where that says nothing else, and those of a manner alone.
    """
    clauses = _CLAUSES.split(unquoted(sentence))
    rests = [_MANNER.sub("", clause) for clause in clauses]
    bare = [not re.search(r"\w", rest) for rest in rests]
    own = {number for number, clause in enumerate(clauses) if '""' in clause}
    beside = {number + step for number in own if bare[number] for step in (-1, 1)}
    return ", ".join(
        clause
        for number, (clause, rest) in enumerate(zip(clauses, rests, strict=True))
        if (bare[number] or number in own | beside) and not _CAMERA.search(rest) and not camera_moves(rest)
    )


def spoken_seconds(words: str, manner: str = "") -> float:
    """About how long it takes to say some words, in a manner as a prompt names it."""
    counts = [(len(re.findall(signs, words)), rate) for signs, rate in SIGNS.items()]
    letters = len(words) - sum(count for count, _ in counts)
    plainly = letters / _LETTERS + sum(count / rate for count, rate in counts)
    paces = [pace for told, pace in _PACES.items() if re.search(rf"\b(?:{told})\b", manner, re.IGNORECASE)]
    return plainly / (paces[0] if paces else 1.0)

"""What a prompt says of a part of a clip: its shots, its sentences, and the words that are said in it."""

import re

from horsekit.prompt import Prompt, Shot, TimedLine, checked, sentences, timed_lines


def excerpt(text: str, start: float, end: float) -> str:
    """The prompt of the part of a clip from `start` to `end` seconds, on a clock of its own.

    Shots with another time are left out, and so are sentences whose line is said at another time; of a line
    that runs over a border, the words stay whose time by their letters lies inside.
    """
    shots = Prompt.parse(text).shots
    within = [s for s in shots if s.start is None or (s.start < end and s.end > start)] or list(shots)
    kept = [piece for shot in within for piece in _said_between(shot, start, end)]
    return checked(" ".join(kept) or shots[0].text())


def _said_between(shot: Shot, start: float, end: float) -> list[str]:
    pieces = []
    for sentence in sentences(shot.text()):
        lines = timed_lines(sentence)
        if not lines:
            pieces.append(sentence)
            continue
        here = [line for line in lines if line.start < end and line.end > start]
        for line in reversed(lines):
            sentence = _cut(sentence, line, start, end) if line in here else _without(sentence, line)
        if here:
            pieces.append(sentence)
    return pieces


def _without(sentence: str, line: TimedLine) -> str:
    """The sentence less one of its lines, its time and what joined it to the others."""
    behind = sentence[line.last :]
    joined = re.sub(r"(?:\s*(?:,|\band\b|\bthen\b))*\s*$", "", sentence[: line.first - 1])
    return joined + behind[behind.index(")") + 1 :]


def _cut(sentence: str, line: TimedLine, start: float, end: float) -> str:
    """The sentence with the words of one of its lines that are said between two times, and when they are."""
    words, rate = sentence[line.first : line.last], (line.last - line.first) / (line.end - line.start)
    places = [k for k in range(len(words) + 1) if k in (0, len(words)) or words[k - 1] == " "]
    if len(places) == 2:  # a script without spaces parts anywhere
        places = list(range(len(words) + 1))
    a, b = (min(places, key=lambda k: abs(k - (t - line.start) * rate)) for t in (start, end))
    begins, ends = line.start + a / rate - start, line.start + b / rate - start
    if a == b:
        a, b, begins, ends = 0, len(words), line.start - start, line.end - start
    begins, ends = max(0.0, begins), min(end - start, ends)
    before, behind = sentence[: line.first], sentence[line.last :]
    time = behind.index(")")
    return f"{before}{words[a:b].strip()}{behind[0]} ({begins:.2f}-{ends:.2f} s){behind[time + 1 :]}"

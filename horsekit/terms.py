"""The terms of camera and light: what many wordings mean, under one name each.

"The lens glides to the right", "a quick rightward tracking move" and "truck right" ask for one and the same move. A
small model cannot learn all of film's vocabulary; it is told the terms beside the words (`TextTokenizer`).
"""

import re
from collections.abc import Iterator

from horsekit.cues import SOMEBODY_BEGINS
from horsekit.prompt import layered

# "moves in a slow arc" and "in the room" go nowhere, "zooms in a bit" does
_SOMETHING = r" (?:(?:an?|the|its?|one) (?!bit|little|long|camera|lens|view)|(?:slow|fast|quick|small|wide) )"
_WAYS = {
    "left": r"left(?:wards?)?",
    "right": r"right(?:wards?)?",
    "up": r"up(?:wards?)?|top|ceiling",
    "down": r"down(?:wards?)?|floor",
    "in": r"in(?!" + _SOMETHING + r")|inwards?|forwards?|closer|nearer",
    "out": r"out|outwards?|back(?:wards?)?|away|wider",
}
# kind of move: its verbs and nouns, and the ways it can go
_MOVES = {
    "pan": (r"pan(?:s|ning)?|turn(?:s|ing)?|swivel(?:s|ing)?|look(?:s|ing)?", ("left", "right")),
    "tilt": (r"tilt(?:s|ing)?|turn(?:s|ing)?|tip(?:s|ping)?|look(?:s|ing)?", ("up", "down")),
    "dolly": (
        r"doll(?:y|ies|ying)|push(?:es|ing)?|pull(?:s|ing)?|draw(?:s|ing)?|mov(?:e|es|ing)|com(?:e|es|ing)"
        r"|travel(?:s|ing)?",
        ("in", "out"),
    ),
    "truck": (
        r"truck(?:s|ing)?|track(?:s|ing)?|slid(?:e|es|ing)|glid(?:e|es|ing)|mov(?:e|es|ing) sideways",
        ("left", "right"),
    ),
    "orbit": (
        r"orbit(?:s|ing)?|circl(?:e|es|ing)|arc(?:s|ing)?|(?:mov(?:e|es|ing)|swing(?:s|ing)?|travel(?:s|ing)?) a?round",
        ("left", "right"),
    ),
    "crane": (r"cran(?:e|es|ing)|boom(?:s|ing)?", ("up", "down")),
    "zoom": (r"zoom(?:s|ing)?", ("in", "out")),
}
# what names a move without saying its way
_WHOLE = {
    ("crane", "up"): r"ris(?:e|es|ing)|lift(?:s|ing)?|climb(?:s|ing)?|ascen(?:t|ds?|ding)",
    ("crane", "down"): r"sink(?:s|ing)?|lower(?:s|ing)?|descen(?:t|ds?|ding)",
    ("zoom", "in"): r"tighten(?:s|ing)?",
    ("zoom", "out"): r"widen(?:s|ing)?",
    ("handheld", ""): r"hand-?held",
    (
        "static",
        "",
    ): r"(?:stay|stand|hold|remain|keep)s? (?:still|fixed|put|in place)|rests? on a tripod|motionless"
    r"|(?:static|locked(?:-off)?|fixed|still) (?:camera|shot|view|frame|take)"
    r"|(?:camera|shot|frame|tripod)\b[^.]{0,30}\b(?:static|fixed|locked|still|does not move)",
}
OPPOSITE = {"left": "right", "up": "down", "in": "out"}

_MANNER = {
    "slow": r"slow(?:ly)?|gent(?:le|ly)|calm(?:ly)?|unhurried(?:ly)?",
    "fast": r"fast|quick(?:ly)?|swift(?:ly)?|rapid(?:ly)?",
    "a little": r"a little|a bit|slight(?:ly)?",
    "far": r"far|a long way|by a lot",
}
_LIGHT = {
    "white": r"white|neutral|plain",
    "warm": r"warm|golden|amber|candle(?:-warm|light)?",
    "cool": r"cool|cold|blu(?:e|ish)|moon(?:-blue|light)?",
    "rose": r"ros[ey]|pink(?:ish)?",
    "mint": r"mint|green(?:-tinted|ish)?",
    "low contrast": r"low contrast|soft fill|(?:faint|soft) shadows",
    "medium contrast": r"medium contrast|balanced fill|moderate shadows",
    "high contrast": r"high contrast|little fill|(?:deep|hard) shadows",
    "matte": r"matte|without shine|powdered",
    "natural skin": r"natural skin|faintly shiny|soft sheen",
    "oily": r"oily|very shiny|glossy",
}
_SIDES = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")

_SIDE = re.compile(
    r"\b(?:(?P<depth>front|back|behind)(?:[ -](?P<half>left|right))?|(?P<side>left|right)|head-on|(?P<rim>backlit))\b",
    re.IGNORECASE,
)


def _any(patterns: dict) -> dict:
    return {name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for name, pattern in patterns.items()}


_WHOLE_MOVES, _MANNERS, _LIGHTS = _any(_WHOLE), _any(_MANNER), _any(_LIGHT)
_VERB = _any({kind: verbs for kind, (verbs, _) in _MOVES.items()})
_WAY = {way: re.compile(rf"[ -](?:{pattern})\b", re.IGNORECASE) for way, pattern in _WAYS.items()}
_NEXT_WORDS = re.compile(r"(?:[ -]\w+){1,5}")
# "a leftward tracking move": the way, and then the noun
_BEFORE = {
    (kind, way): re.compile(rf"\b(?:{_WAYS[way]})[ -](?:{verbs})\b", re.IGNORECASE)
    for kind, (verbs, ways) in _MOVES.items()
    for way in ways
}

# "does not pan left or right", "no zoom in or out": what is not to be
_DENIED = re.compile(
    r"\b(?:no|not(?! only)|never|without|nor|\w+n['’]t)\b"
    r"(?:(?!\b(?:but\b|(?:and|the (?:camera|view|lens|shot)) (?:\w+ly )?(?:\w+s|will|should|must|can)\b"
    r"|and (?:an?|the|with|then|slow|quick|fast|smooth|steady|gentle)\b))[^.;:,!?–—])*",
    re.IGNORECASE,
)

# "she looks up while the camera stays fixed": what somebody does is no move
_SOMEBODY_FIRST = re.compile(
    rf"(?:^|(?<=[.!?])){SOMEBODY_BEGINS}[^.]*?"
    r"(?=\b(?:the|an?) (?:\w+ )?(?:camera|lens|view|frame|shot|tripod)\b)",
    re.IGNORECASE,
)

MOVES = (
    *((kind, way) for kind, (_, ways) in _MOVES.items() for way in ways),
    ("static", ""),
    ("handheld", ""),
)
TERMS = (
    *(" ".join(move).strip() for move in MOVES),
    *_MANNER,
    *(f"light from the {side}" for side in _SIDES),
    *_LIGHT,
)


def camera_moves(text: str) -> set[tuple[str, str]]:
    """The camera moves that words ask for, as (kind, way); a fixed camera is ("static", "")."""
    text = _SOMEBODY_FIRST.sub(" ", text)
    found = {("static", "")} if _WHOLE_MOVES["static", ""].search(text) else set()
    text = _DENIED.sub("", text)
    found |= {
        move
        for patterns in (_WHOLE_MOVES, _BEFORE)
        for move, pattern in patterns.items()
        if pattern.search(text)
    }
    begun = sorted({match.start() for pattern in _VERB.values() for match in pattern.finditer(text)})
    for kind, pattern in _VERB.items():
        for verb in pattern.finditer(text):
            words = _NEXT_WORDS.match(text, verb.end())
            if not words:
                continue
            # what stands behind another verb is that one's way
            end = min([words.end(), *(place for place in begun if place >= verb.end())])
            for way in _MOVES[kind][1]:
                if any(match.start() < end for match in _WAY[way].finditer(text, verb.end())):
                    found.add((kind, way))
    return found


def terms(text: str) -> list[tuple[int, tuple[str, ...]]]:
    """The terms of each shot that has any, in the order of TERMS, and where in the text its words end."""
    shots: list[tuple[int, set[str]]] = [(0, set())]
    for sentence in layered(text):
        if sentence.heading:
            shots.append((0, set()))
        words = text[sentence.first : sentence.last]
        shots[-1] = (sentence.last, shots[-1][1] | set(_terms(words, sentence.layer)))
    return [(end, tuple(term for term in TERMS if term in found)) for end, found in shots if found]


def _terms(words: str, layer: str) -> Iterator[str]:
    if layer == "camera":
        yield from (" ".join(move).strip() for move in camera_moves(words))
        yield from (name for name, pattern in _MANNERS.items() if pattern.search(words))
    elif layer == "light":
        yield from (f"light from the {_side(match)}" for match in _SIDE.finditer(words))
        yield from (name for name, pattern in _LIGHTS.items() if pattern.search(words))


def _side(match: re.Match) -> str:
    parts = {name: (part or "").lower() for name, part in match.groupdict().items()}
    if parts["side"]:
        return parts["side"]
    depth = "back" if parts["rim"] or parts["depth"] in ("back", "behind") else "front"
    return f"{depth} {parts['half']}".strip()

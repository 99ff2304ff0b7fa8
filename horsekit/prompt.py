"""Layered prompts and their text: shots, layers, and mentions of reference pictures.

A prompt names, shot by shot, who is seen (subject), what they do (action), what they say (dialogue),
how the camera moves, how the light falls, what is heard and where it happens. A line of dialogue may have its
time: `"Good morning" (0.2-1.1 s)`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from horsekit.cues import layer_by_words

MAX_CHARACTERS = 5000
MAX_REFERENCES = 9
LAYERS = ("subject", "action", "dialogue", "camera", "light", "sound", "setting")
DIRECTIONS = ("camera", "light")  # how it is filmed, whatever happens


class PromptError(ValueError):
    """A prompt that cannot be used; the message names what is wrong and the remedy."""


_MENTION = re.compile(
    r"[\[【]\s*(?:image|picture|img|图片?|圖片?)[\s_]*(?P<bracket>\d+)\s*[\]】]"
    r"|@(?:image|character)[\s_]?(?P<at>\d+)\b"
    r"|<sub[\s_]?(?P<sub>\d+)>"
    r"|\bcharacter[\s_]?(?P<character>\d+)\b",
    re.IGNORECASE,
)


SAYING = re.compile(
    r"\b(?:sa(?:y|ys|ying|id)|sp(?:eaks?|oken?|eaking)|t(?:ells?|old|elling)|repl(?:y|ies|ied)|cr(?:y|ies|ied)|sings?|words?"
    r"|line|voice|(?:utter|remark|ask|add|answer|whisper|shout|call|read|recite|pronounce|repeat|continue|mutter|exclaim|announce)"
    r"(?:s|ed|d|ing)?)\b",
    re.IGNORECASE,
)


def _number(match: re.Match) -> int:
    digits = next(group for group in match.groups() if group is not None)
    return int(digits) if len(digits) < 4 else MAX_REFERENCES + 1


def _there(number: int) -> bool:
    return 1 <= number <= MAX_REFERENCES


def normalised(text: str) -> str:
    """The text with every mention (`[Image1]`, `character1`, `@Image1`, `<sub_1>`) as `[Image 1]`.

    What has a number that no reference can have stays as it is; see mentions. What stands in the quotation marks of
    another language („…“, «…», 『…』) is put into plain ones.
    """
    text = _MENTION.sub(lambda m: f"[Image {n}]" if _there(n := _number(m)) else m.group(0), text)
    while (plain := _MARKED.sub(_in_plain_marks, text)) != text:  # marks that stood within marks
        text = plain
    return text


def _in_plain_marks(quote: re.Match) -> str:
    return quote[0] if quote.lastgroup is None else f'"{quote[quote.lastgroup].strip()}"'


def mentions(text: str) -> set[int]:
    """Numbers of the reference pictures that the text mentions, in any spelling.

    Errors: PromptError for a number that no reference can have.
    """
    found = {_number(match): match.group(0) for match in _MENTION.finditer(text)}
    for number, spelt in found.items():
        if not _there(number):
            raise PromptError(
                f"the prompt mentions {spelt!r}: references are numbered 1 to {MAX_REFERENCES}; "
                "renumber the mention, the first picture given is [Image 1]"
            )
    return set(found)


def checked(text: str, references: int | None = None) -> str:
    """The text, stripped and with normalised mentions, or PromptError.

    Refused: an empty text, one over 5,000 characters (never cut short in silence), and, where the number
    of `references` is told, a mention of a picture that was not given.
    """
    if not isinstance(text, str):
        raise PromptError(f"a prompt is text, got {type(text).__name__}; pass a str")
    text = text.strip()
    text = text if len(text) > 2 * MAX_CHARACTERS else normalised(text)
    if not text:
        raise PromptError("the prompt is empty; write what is seen and heard, for example: a man waves")
    if len(text) > MAX_CHARACTERS:
        raise PromptError(
            f"the prompt has {len(text):,} characters, {MAX_CHARACTERS:,} is the most; "
            f"shorten it by {len(text) - MAX_CHARACTERS:,} or split it over several clips"
        )
    mentioned = mentions(text)
    if references is not None and (missing := {n for n in mentioned if n > references}):
        given = "none was given" if references == 0 else f"{references} given"
        raise PromptError(
            f"the prompt mentions [Image {min(missing)}], but of reference pictures {given}; "
            "add the picture or drop the mention"
        )
    return text


@dataclass(frozen=True)
class TimedLine:
    """A line of dialogue that has its time: the words text[first:last] are said from `start` to `end` seconds."""

    first: int
    last: int
    start: float
    end: float


def timed_lines(text: str) -> tuple[TimedLine, ...]:
    """The lines that have a time. Errors: PromptError for one that ends before it starts."""
    lines = []
    for match in _TIMED.finditer(text):
        start, end = map(float, re.findall(_SECONDS, match["time"]))
        if start >= end:
            raise PromptError(
                f"the line {match['quote']} is timed from {start:g} to {end:g} s; let it end after it starts"
            )
        lines.append(TimedLine(match.start("quote") + 1, match.end("quote") - 1, start, end))
    return tuple(lines)


def quoted(text: str) -> list[tuple[int, int]]:
    """Where the words of each line that is said begin and end, text[first:last]; a sign that reads "SALE" is none."""
    read = {match.start("quote") for match in _READ.finditer(text)}
    return [
        (match.start() + 1, match.end() - 1) for match in _QUOTE.finditer(text) if match.start() not in read
    ]


def is_said(text: str, first: int) -> bool:
    """Whether the quoted words that begin there are plainly a line: a word of saying beside them, or a colon before.

    Nobody says "retro" in a "retro" diner.
    """
    before = text[: first - 1].rstrip()
    if before.endswith((":", "：")):
        return True
    within = next((text[a:b] for a, b in _spans(text) if a < first <= b), "")
    return bool(SAYING.search(unquoted(within)))


def unquoted(text: str) -> str:
    """The text with nothing left between its quotation marks."""
    return _QUOTE.sub('""', text)


def may_speak(text: str, number: int) -> bool:
    """Whether a reference may be heard: by it a line is said, or one by nobody that is named, or there are no lines.

    A line is said by whom its sentence mentions first, outside of what is quoted.
    """
    said = [unquoted(sentence) for sentence in sentences(text) if quoted(sentence)]
    named = [_MENTION.search(words) for words in said]
    return not named or any(match is None or _number(match) == number for match in named)


def with_time(text: str, start: float, end: float) -> str:
    """The text with a time behind its first quoted line. Errors: PromptError when nothing is quoted."""
    lines = quoted(text)
    if not lines:
        raise PromptError(f"{text!r} quotes no line that could be timed; put the words in quotation marks")
    end_of_line = lines[0][1] + 1
    return f"{text[:end_of_line]} ({start:.2f}-{end:.2f} s){text[end_of_line:]}"


@dataclass(frozen=True)
class Shot:
    """One shot: its layers in words, and where told its [start, end) in seconds."""

    subject: str = ""
    action: str = ""
    dialogue: str = ""
    camera: str = ""
    light: str = ""
    sound: str = ""
    setting: str = ""
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        if (self.start is None) != (self.end is None):
            raise PromptError("a shot has both a start and an end, or neither; give the missing one")
        if self.start is not None and not 0 <= self.start < self.end:
            raise PromptError(f"a shot from {self.start} s to {self.end} s is empty; end it after its start")

    @property
    def layers(self) -> dict[str, str]:
        """The layers that say something, in the usual order."""
        return {name: getattr(self, name) for name in LAYERS if getattr(self, name)}

    def text(self, order: tuple[str, ...] = LAYERS, labels: bool = False) -> str:
        """The shot as sentences in the given order; with `labels`, one `Camera: ...` line per layer."""
        parts = {name: getattr(self, name) for name in order if getattr(self, name)}
        if labels:
            return "\n".join(f"{name.capitalize()}: {part}" for name, part in parts.items())
        return " ".join(_sentence(part) for part in parts.values())


@dataclass(frozen=True)
class Prompt:
    """A prompt of one or more shots."""

    shots: tuple[Shot, ...]

    @classmethod
    def of(cls, layers: Mapping[str, str]) -> "Prompt":
        """A prompt of one shot from its layers; PromptError names an unknown layer."""
        if unknown := set(layers) - set(LAYERS):
            raise PromptError(f"unknown layer {min(unknown)!r}; the layers are {', '.join(LAYERS)}")
        return cls((Shot(**layers),))

    @classmethod
    def parse(cls, text: str) -> "Prompt":
        """Layers from text: `Camera: ...` labels where written, else each sentence by its wording.

        A shot is headed by `[00:00-00:04]` or `Shot 2:`. Labelled text reads back exactly; for free
        text the layer of a sentence is a guess from cue words.
        """
        return cls(tuple(_parse_shot(*piece) for piece in _split_shots(checked(text))))

    def text(self, order: tuple[str, ...] = LAYERS, labels: bool = False) -> str:
        """The whole prompt as text, checked; several shots are headed by timecodes or `Shot n:`."""
        joint = "\n" if labels or len(self.shots) > 1 else " "
        pieces = []
        for number, shot in enumerate(self.shots, 1):
            body = shot.text(order, labels)
            if shot.start is not None:
                body = f"[{_timecode(shot.start)}-{_timecode(shot.end)}]{joint if labels else ' '}{body}"
            elif len(self.shots) > 1:
                body = f"Shot {number}:{joint if labels else ' '}{body}"
            pieces.append(body)
        return checked(joint.join(pieces))

    def with_layer(self, name: str, words: str, shot: int = 0) -> "Prompt":
        """The prompt with one layer of one shot put in other words ("" drops it)."""
        if name not in LAYERS:
            raise PromptError(f"unknown layer {name!r}; the layers are {', '.join(LAYERS)}")
        shots = list(self.shots)
        shots[shot] = replace(shots[shot], **{name: words})
        return Prompt(tuple(shots))


_CODE = r"(?:\d{1,2}:)?\d{1,2}:\d{2}(?:\.\d{1,3})?"
_HEADER = re.compile(
    rf"(?:^|(?<=[\s.!?\"”。]))(?:\[\s*(?P<start>{_CODE})\s*[-–—]\s*(?P<end>{_CODE})\s*\]|Shot\s+\d+\s*[:：])\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(rf"^\s*(?P<name>{'|'.join(LAYERS)})\s*[:：]\s*", re.IGNORECASE | re.MULTILINE)
_QUOTE = re.compile(r"\"[^\"]+\"|“[^”]+”|「[^」]+」")
_WITHIN = r"[^„“”«»『』\"]+"
_MARKED = re.compile(
    rf"{_QUOTE.pattern}|„(?P<german>{_WITHIN})[“”]|(?<!\d)”(?P<swedish>{_WITHIN})”|“(?P<bent>{_WITHIN})“"
    rf"|«(?P<french>{_WITHIN})»|»(?P<danish>{_WITHIN})«|『(?P<japanese>{_WITHIN})』"
)
ON_SIGNS = r"(?:signs?|labels?|banners?|posters?|logos?|placards?|stickers?|captions?)"
_READ = re.compile(  # words that are read, not heard
    rf"\b(?:{ON_SIGNS}"
    r"(?: (?:that|which))?(?: (?:says?|reads?|saying|reading|with))?(?: the words?)?|written|printed|painted)"
    rf"[\s:,]*(?P<quote>{_QUOTE.pattern})",
    re.IGNORECASE,
)
_SECONDS = r"\d+(?:\.\d+)?"
_TIME = rf"\(\s*{_SECONDS}\s*[-–—]\s*{_SECONDS}\s*s\s*\)"
_TIMED = re.compile(rf"(?P<quote>{_QUOTE.pattern})\s*(?P<time>{_TIME})")
_SENTENCE_END = re.compile(
    rf"[.!?]+[\"”」)]?(?:\s*{_TIME})?(?=\s+[^a-z\s]|$)(?!\s*{_TIME})|[。！？]+[”」]?(?:\s*{_TIME})?|\n"
)


def layer_of(sentence: str) -> str:
    """The layer that a sentence most likely belongs to, from its cue words."""
    sentence = _READ.sub("", sentence)
    names_subject = _MENTION.search(sentence) or re.search(r"\bcharacters?\b", sentence, re.IGNORECASE)
    return layer_by_words(sentence, bool(names_subject))


def _sentence(part: str) -> str:
    part = part.strip()
    return part if part.endswith((".", "!", "?", "。", "！", "？")) else part + "."


def _timecode(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    text = f"{thousandths // 60000:02d}:{thousandths // 1000 % 60:02d}"
    return text if thousandths % 1000 == 0 else f"{text}.{thousandths % 1000:03d}"


def _seconds(code: str) -> float:
    total = 0.0
    for part in code.split(":"):
        total = total * 60 + float(part)
    return total


def _split_shots(text: str) -> list[tuple[str, float | None, float | None]]:
    headers = list(_HEADER.finditer(text))
    if not headers:
        return [(text, None, None)]
    pieces = []
    if preface := text[: headers[0].start()].strip():
        pieces.append((preface, None, None))
    for header, following in zip_longest(headers, headers[1:]):
        body = text[header.end() : following.start() if following else len(text)]
        start, end = header["start"], header["end"]
        pieces.append((body, *((_seconds(start), _seconds(end)) if start else (None, None))))
    return pieces


def sentences(text: str) -> list[str]:
    """The sentences of a text; what is quoted stays in one piece."""
    return [text[first:last] for first, last in _spans(text)]


def _spans(text: str) -> list[tuple[int, int]]:
    covered = _QUOTE.sub(lambda quote: quote[0][0] + "x" * (len(quote[0]) - 3) + quote[0][-2:], text)
    ends = [0, *(match.end() for match in _SENTENCE_END.finditer(covered)), len(text)]
    bounds = []
    for first, last in pairwise(ends):
        piece = text[first:last]
        if piece.strip():
            bounds.append((first + len(piece) - len(piece.lstrip()), first + len(piece.rstrip())))
    return bounds


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text, its words text[first:last], and its layer; `heading` is that of a shot it opens, or ""."""

    first: int
    last: int
    layer: str
    heading: str


def layered(text: str) -> list[Sentence]:
    """The sentences of a text in order, each in the layer of its label, or without one in that of its wording.

    What follows a labelled sentence on its line and tells no layer by its wording, as "slowly" does, belongs to it.
    """
    found, label, end = [], None, 0
    for first, last in _spans(text):
        header = _HEADER.match(text[first:last])
        heading = header[0].strip() if header else ""
        words = text[first + (header.end() if header else 0) : last]
        own, wording = _LABEL.match(words), layer_of(words)
        if own or header or "\n" in text[end:first]:
            label = own["name"].lower() if own else None
        telling = wording != "subject" or _MENTION.search(words)
        layer = label if label and (own or not telling) else wording
        found.append(Sentence(last - len(words), last, layer, heading))
        end = last
    return found


def without_layers(text: str, names: Collection[str]) -> str:
    """The text, in its own order, less the sentences of some layers; shots keep their headings."""
    kept = []
    for sentence in layered(text):
        words = "" if sentence.layer in names else text[sentence.first : sentence.last]
        kept.append(f"{sentence.heading} {words}".strip())
    return " ".join(piece for piece in kept if piece)


def _parse_shot(text: str, start: float | None, end: float | None) -> Shot:
    layers: dict[str, list[str]] = {}
    labels = list(_LABEL.finditer(text))
    free = text[: labels[0].start()] if labels else text
    for sentence in sentences(free):
        layers.setdefault(layer_of(sentence), []).append(sentence)
    for label, following in zip_longest(labels, labels[1:]):
        words = text[label.end() : following.start() if following else len(text)].strip()
        layers.setdefault(label["name"].lower(), []).append(words)
    return Shot(**{name: " ".join(parts) for name, parts in layers.items()}, start=start, end=end)

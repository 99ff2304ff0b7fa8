"""What cannot be played as it is written: a camera sent two ways at once, light from nowhere, a line said softly and
loudly or in a language that nobody speaks, more words than there is time for."""

import re
from collections.abc import Collection
from itertools import combinations, permutations

from horsekit.dialogue import OPPOSITE_MANNERS, SIGNS
from horsekit.prompt import ON_SIGNS, SAYING, Prompt, PromptError, Shot, quoted, timed_lines, unquoted
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
_NOWHERE = re.compile(
    r"\b(?:light|lit|lighting|glow|beams?|rays?|key|lamps?|sun|sunlight|shadows?)\b[^.;,]{0,30}"
    r"\bfrom (?:nowhere|no (?:where|side|direction|source|place))\b",
    re.IGNORECASE,
)
_SINGLE = r"\s*(?P<{0}>['‘](?!\d0s\b|em\b|til\b|tis\b|cause\b)(?:[^'’]|['’]\w)+['’])(?!\w)"
_IN_SINGLE = re.compile(
    rf"\b(?!words?\b|line\b|read(?:s|ing)?\b){SAYING.pattern}[^.!?:：\"“「\n]{{0,60}}[:：]{_SINGLE.format('after')}"
    r"|\b(?:say|says|said|saying|asks?|asked|answers?|adds?|whispers?|shouts?|calls?|cries|replies|sings?|mutters?)\b"
    rf"(?:\s+\w+ly)?,?{_SINGLE.format('beside')}",
    re.IGNORECASE,
)
_ON_A_SIGN = re.compile(
    rf"\b{ON_SIGNS}(?: (?:that|which))?"
    r"(?: (?:says?|saying))?(?: the words?)?[\s:,]*$",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"\b(?:low|high) contrast\b", re.IGNORECASE)
_LANGUAGES = (
    "Afrikaans|Albanian|Amharic|Arabic|Armenian|Azerbaijani|Basque|Bengali|Bosnian|Bulgarian|Burmese|Cantonese|Catalan"
    "|Croatian|Czech|Danish|Dutch|English|Esperanto|Estonian|Farsi|Filipino|Finnish|French|Galician|Georgian|German"
    "|Greek|Gujarati|Hausa|Hebrew|Hindi|Hungarian|Icelandic|Igbo|Indonesian|Irish|Italian|Japanese|Javanese|Kannada"
    "|Kazakh|Khmer|Korean|Kurdish|Lao|Latin|Latvian|Lithuanian|Macedonian|Malay|Malayalam|Maltese|Mandarin|Marathi"
    "|Mongolian|Nepali|Norwegian|Pashto|Persian|Polish|Portuguese|Punjabi|Romanian|Russian|Sanskrit|Serbian|Sinhala"
    "|Slovak|Slovenian|Somali|Spanish|Swahili|Swedish|Tagalog|Tamil|Telugu|Thai|Tibetan|Turkish|Ukrainian|Urdu|Uzbek"
    "|Vietnamese|Welsh|Yiddish|Yoruba|Zulu"
)
# "in fluent Danish:", and not "in a Danish café", "in Danish dress"
_IN_LANGUAGE = re.compile(
    rf"\b(?i:in) (?:(?!an?\b|the\b)[a-z]+ ){{0,2}}({_LANGUAGES})"
    r'(?=\s*(?:["“”「」:;,.!?()]|$)|\s+(?:and|but|then|with|while|as|to|very|softly|quietly|loudly|slowly|quickly)\b)'
)


def check_directions(text: str, seconds: float, languages: Collection[str] = ()) -> None:
    """Refuse a prompt that no clip of that length can follow.

    languages: those that the model speaks, by their English names; none given: any.
    Errors: PromptError for a line in single quotation marks, for a shot whose camera is sent two ways at once, or
    stands still and moves, whose light comes from nowhere or has two contrasts, for a line in two opposite manners or a
    language without a voice, and for one that nobody can say in the time there is; it names them and the remedy.
    """
    _check_marks(unquoted(text))
    for shot in Prompt.parse(text).shots:
        _check_camera(shot)
        _check_light(shot)
        _check_manner(shot)
        if languages:
            _check_language(shot, languages)
    known = {line.first: line.end - line.start for line in timed_lines(text)}
    for first, last in quoted(text):
        check_line(text[first:last], known.get(first, seconds))


def _check_marks(text: str) -> None:
    for found in _IN_SINGLE.finditer(text):
        if not _ON_A_SIGN.search(text[: found.start(found.lastgroup)]):
            raise PromptError(
                f"what is said stands in single quotation marks, {found[found.lastgroup][:40]}; put the words into "
                "double ones"
            )


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


def _check_light(shot: Shot) -> None:
    if _NOWHERE.search(shot.light):
        raise PromptError(
            f"light has to come from somewhere ({shot.light!r}); say left, right, front or back, or leave it out"
        )
    if {"low contrast", "high contrast"} <= {*map(str.lower, _CONTRAST.findall(shot.light))}:
        raise PromptError(
            f"the light is asked for with low and with high contrast at once ({shot.light!r}); drop one"
        )


def _check_language(shot: Shot, languages: Collection[str]) -> None:
    for found in _IN_LANGUAGE.finditer(unquoted(shot.dialogue)):
        if found[1] not in languages:
            raise PromptError(
                f"a line is to be said in {found[1]}, for which there is no voice; the model speaks "
                f"{', '.join(languages)}"
            )


def _check_manner(shot: Shot) -> None:
    told = unquoted(shot.dialogue)
    for pattern in _BOTH_WAYS:
        if found := pattern.search(told):
            raise PromptError(
                f"a line is to be said {found[0]!r}, which no voice can; drop one, or put each on a line of its own"
            )


def check_line(words: str, seconds: float) -> None:
    """Refuse a line that nobody can say in that time. Errors: PromptError with the time that it needs."""
    signs = len(_CJK.findall(words))
    least = signs / FASTEST_SIGNS + (len(words) - signs) / FASTEST
    if least > seconds:
        shown = f"{words[:40]!r}{'...' if len(words) > 40 else ''}"
        raise PromptError(
            f"{shown} cannot be said in {round(seconds, 2):g} s; shorten it, or give it at least {2 * least:.1f} s"
        )

"""Facts of the stage put into varied words, layer by layer.

Every function takes a source of randomness and a split: "train" never uses a phrasing of "held_out",
"held_out" uses no other (see `phrases`). A character is named by `who`, a mention or a description.
"""

import colorsys
import re

import torch

from horsekit.stage import phrases
from horsekit.stage.background import Background
from horsekit.stage.camera import CameraMove
from horsekit.stage.cast import Character
from horsekit.stage.light import Light
from horsekit.stage.phrases import listed, phrasings
from horsekit.stage.seeding import choice, uniform

SPLITS = ("train", "held_out")


def subject(who: tuple[str, ...], source: torch.Generator, split: str) -> str:
    """Who is seen: one, or two from left to right."""
    if len(who) == 1:
        return _say(phrases.SUBJECT, split, source, who=who[0])
    return _say(phrases.PAIR, split, source, left=who[0], right=who[1])


def action(who: str, speaking: bool, source: torch.Generator, split: str) -> str:
    """What `who` does."""
    return _say(phrases.ACTION if speaking else phrases.IDLE, split, source, who=who)


def dialogue(
    who: str, line: str | None, language: str, delivery: str, source: torch.Generator, split: str
) -> str:
    """What `who` says in a language ("English") and how, or that there is no speech. English often goes unsaid."""
    if line is None:
        return _say(phrases.SILENT, split, source, who=who)
    unsaid = language == "English" and uniform(source, 0, 1) < 0.5
    how = "" if unsaid else f" in {language}"
    if delivery != "plain":
        how = f" {choice(source, listed(phrases.DELIVERIES[delivery]))}{how}"
    return _say(phrases.DIALOGUE, split, source, who=who, line=line, how=how)


def camera(move: CameraMove, source: torch.Generator, split: str) -> str:
    """How the camera moves; a still or handheld camera has no amount, a still one no speed."""
    verbs, nouns = (listed(table) for table in phrases.MOVES[move.kind])
    adverbs, adjectives = (listed(table) for table in phrases.SPEEDS[move.speed])
    size = "small" if move.magnitude < 0.6 else "large" if move.magnitude > 0.87 else "middle"
    amounts = listed(phrases.AMOUNTS[size])
    if move.kind in ("static", "handheld"):
        amounts = ("",)
    if move.kind == "static":
        adverbs = adjectives = ("",)
    verb = choice(source, verbs)
    return _say(
        phrases.CAMERA,
        split,
        source,
        do=verb,
        does=third_person(verb),
        noun=choice(source, nouns),
        adverb=choice(source, adverbs),
        adjective=choice(source, adjectives),
        amount=choice(source, amounts),
    )


def light(of: Light, source: torch.Generator, split: str) -> str:
    """Colour, direction and contrast of the key light, and how glossy the skin is."""
    return _say(
        phrases.LIGHT,
        split,
        source,
        colour=choice(source, listed(phrases.COLOURS[of.colour])),
        side=choice(source, listed(phrases.SIDES[of.direction])),
        contrast=choice(source, listed(phrases.CONTRASTS[of.key_to_fill])),
        skin=choice(source, listed(phrases.GLOSS[of.gloss])),
    )


def sound(kind: str, source: torch.Generator, split: str) -> str:
    """What is heard besides the voice."""
    return _say(phrases.SOUND, split, source, sound=choice(source, listed(phrases.SOUNDS[kind])))


def setting(background: Background, source: torch.Generator, split: str) -> str:
    """The room."""
    wall = tuple(background.decor.wall[0].tolist())
    return _say(phrases.SETTING, split, source, wall=colour_name(wall))


def description(character: Character, source: torch.Generator, features: int) -> str:
    """The character in words: its skin, and `features` of what it wears and how it looks."""
    colours = {part: colour_name(rgb) for part, rgb in character.colours.items()}
    details = []
    if character["hat_kind"] != "none":
        details.append(article(f"{colours['hat']} {character['hat_kind']}"))
    elif character["hair_kind"] != "none":
        details.append(_HAIR[character["hair_kind"]].format(colours["hair"]))
    if character["ear_kind"] != "none":
        details.append(f"{character['ear_kind']} ears")
    if character["accessory_kind"] != "none":
        thing = f"{colours['accessory']} {character['accessory_kind']}"
        details.append(thing if thing.endswith("s") else article(thing))
    if character["emblem_kind"] != "none":
        details.append(f"{article(colours['emblem'] + ' ' + character['emblem_kind'])} on the chest")
    order = torch.randperm(len(details) + 1, generator=source).tolist()[:features]
    chosen = [details[i] for i in sorted(order) if i < len(details)]
    parts = [f"{article(colours['skin'])}-skinned character"]
    if chosen:
        parts.append("with " + " and ".join([*[", ".join(chosen[:-1])] * (len(chosen) > 1), chosen[-1]]))
    if len(details) in order:
        parts.append(f"in {_garment(character, colours)}")
    return " ".join(parts)


def _garment(character: Character, colours: dict[str, str]) -> str:
    kind, pattern = character["garment_kind"], character["pattern_kind"]
    cloth = kind if kind in ("coat", "dungarees", "hoodie", "turtleneck") else f"{kind} top"
    worn = f"{colours['garment']} {cloth}"
    worn = worn if kind == "dungarees" else article(worn)
    if pattern == "plain":
        return worn
    figure = f"{colours['pattern']} {pattern}"
    return f"{worn} with {article(figure) if pattern == 'yoke' else figure}"


_HAIR = {
    "short": "short {} hair",
    "bob": "{} hair in a bob",
    "long": "long {} hair",
    "curly": "curly {} hair",
    "pigtails": "{} pigtails",
    "mohawk": "a {} mohawk",
    "buns": "{} hair in buns",
}
# upper end of the hue in degrees
_HUES = (
    (15, "red"),
    (42, "orange"),
    (66, "yellow"),
    (90, "lime"),
    (155, "green"),
    (185, "teal"),
    (205, "sky blue"),
    (250, "blue"),
    (285, "violet"),
    (320, "magenta"),
    (345, "pink"),
    (361, "red"),
)


def colour_name(rgb: tuple[float, float, float]) -> str:
    """A plain name for an sRGB colour in 0..1, such as "dark teal"."""
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    if saturation < 0.08:
        return "white" if value > 0.9 else "grey" if value > 0.3 else "black"
    name = next(name for end, name in _HUES if 360 * hue < end)
    if name in ("orange", "red") and value < 0.6:
        return "dark brown" if value < 0.4 else "brown"
    shade = "dark " if value < 0.55 else "pale " if saturation < 0.42 else ""
    return shade + name


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"an {words}" if words[0] in "aeio" else f"a {words}"


def third_person(verb: str) -> str:
    """ "push in" -> "pushes in"."""
    head, _, rest = verb.partition(" ")
    if head.endswith(("sh", "ch", "s", "x")):
        head += "es"
    elif head.endswith("y") and head[-2] not in "aeiou":
        head = head[:-1] + "ies"
    else:
        head += "s"
    return f"{head} {rest}".strip()


def _say(table: str, split: str, source: torch.Generator, **words: str) -> str:
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; choose one of {', '.join(SPLITS)}")
    said = choice(source, phrasings(table, split)).format(**words)
    if "line" not in words:
        said = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", said)
    said = re.sub(r",(?=\s*[.,;:()])", "", said)  # the comma that closes a description
    return said[0].upper() + said[1:]

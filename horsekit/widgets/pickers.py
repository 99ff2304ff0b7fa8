"""Pickers that write one layer of a prompt in words the stage's models were trained on."""

import ipywidgets as w

from horsekit.prompt import Prompt, PromptError, mentions
from horsekit.stage import COLOURS, DIRECTIONS, GLOSS, MOVES, SPEEDS, STOPS, phrases
from horsekit.stage.wording import third_person

AS_WRITTEN = ""


def camera_words(move: str, speed: str) -> str:
    """The plainest wording of a camera move: "The camera pushes in slowly." """
    verb = _first(phrases.MOVES[move][0])
    adverb = "" if move == "static" else _first(phrases.SPEEDS[speed][0])
    return f"The camera {third_person(verb)}{adverb}."


def light_words(side: str, colour: str, contrast: str, skin: str) -> str:
    """The plainest wording of a light: "Warm light from the left, low contrast, matte skin." """
    parts = (
        f"{_first(phrases.COLOURS[colour])} light {_first(phrases.SIDES[DIRECTIONS.index(side)])}",
        _first(phrases.CONTRASTS[contrast]),
        _first(phrases.GLOSS[skin]),
    )
    return ", ".join(parts).capitalize() + "."


def written(text: str, layer: str, words: str, replacing: str = "") -> tuple[str, str]:
    """A prompt with `words` as its camera or light layer, and the words that made room for them.

    `replacing` names the exact words to replace; otherwise they are what the prompt says of that layer. A
    sentence that mentions a reference picture is about more than its layer, and stays.
    """
    old = replacing if replacing and replacing in text else _layer(text, layer)
    if old in text:
        changed = text.replace(old, words, 1) if old else f"{text.rstrip()} {words}"
    else:  # the layer's sentences stand apart from each other
        changed = Prompt.parse(text).with_layer(layer, words).text()
    return " ".join(changed.split()) if "\n" not in changed else changed.strip(), old


def _layer(text: str, layer: str) -> str:
    try:
        old = getattr(Prompt.parse(text).shots[0], layer)
    except PromptError:  # nothing is written yet, or nothing that could be read
        return ""
    return "" if mentions(old) else old


class LayerPicker(w.HBox):
    """Drop-downs that write one layer into a text area; "as written" puts back what stood there."""

    def __init__(self, text: w.Textarea, layer: str, choices: dict[str, w.Dropdown], words) -> None:
        self.text, self.layer, self.choices, self._words = text, layer, choices, words
        self._own, self._before = "", ""
        super().__init__([*choices.values()])
        self.add_class("hk-pick").add_class(f"hk-{layer}")
        for choice in choices.values():
            choice.observe(self._write, "value")

    def _write(self, change: object) -> None:
        values = [choice.value for choice in self.choices.values()]
        if values[0] == AS_WRITTEN:
            if self._own and self._own in self.text.value:
                self.text.value, _ = written(self.text.value, self.layer, self._before, self._own)
            self._own = self._before = ""
            return
        words = self._words(*values)
        text, old = written(self.text.value, self.layer, words, self._own)
        if old != self._own:
            self._before = old
        self.text.value, self._own = text, words


def camera_picker(text: w.Textarea) -> LayerPicker:
    """Writes how the camera moves."""
    moves = [("as written", AS_WRITTEN), *((_title(move), move) for move in MOVES)]
    choices = {"move": _dropdown("Camera", moves), "speed": _dropdown("", list(SPEEDS), "slow")}
    return LayerPicker(text, "camera", choices, camera_words)


def light_picker(text: w.Textarea) -> LayerPicker:
    """Writes where the light comes from, its colour and contrast, and the skin's gloss."""
    sides = [("as written", AS_WRITTEN), *((f"from the {side}", side) for side in DIRECTIONS)]
    choices = {
        "side": _dropdown("Light", sides),
        "colour": _dropdown("", list(COLOURS), "warm"),
        "contrast": _dropdown("Contrast", list(STOPS), "low"),
        "skin": _dropdown("", [(f"{gloss} skin", gloss) for gloss in GLOSS], "matte"),
    }
    return LayerPicker(text, "light", choices, light_words)


def _dropdown(label: str, options: list, value: str = AS_WRITTEN) -> w.Dropdown:
    return w.Dropdown(description=label, options=options, value=value)


def _title(move: str) -> str:
    return move.replace("_", " ")


def _first(table: str) -> str:
    return next(entry for entry in table.split("|") if entry)

"""Text: byte-level BPE, whole over any UTF-8; markers of the prompt grammar are single tokens.

Behind the words of a shot stands one token for each term of camera and light that they mean, however they put it.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from horsekit.media import replacing
from horsekit.prompt import LAYERS, normalised, timed_lines
from horsekit.terms import TERMS, terms

FILE = "tokenizer.json"
BEGIN, EMPTY = "<begin>", "<empty>"
SLOTS = 9
VOCABULARY = 4096


def mention(slot: int) -> str:
    """How a prompt names the reference of a slot."""
    return f"[Image {slot}]"


SPECIAL = (BEGIN, EMPTY, *(mention(slot) for slot in range(1, SLOTS + 1)))
TERM_TOKENS = tuple(f"<{term}>" for term in TERMS)
# of the prompt grammar: what heads a shot, a layer (camera, dialogue, …) and a time, and what a line stands in
MARKERS = ("Shot", *(f"{layer.capitalize()}:" for layer in LAYERS), *"“”「」【】")


class TextTokenizer:
    """Prompts to token ids and back; every mention of a reference picture is one token."""

    def __init__(self, model: Tokenizer) -> None:
        self._model = model
        self._model.encode_special_tokens = True  # typed out, "<begin>" and "<empty>" are mere letters
        self._slots = {model.token_to_id(mention(slot)): slot for slot in range(1, SLOTS + 1)}
        self._ids = {slot: token for token, slot in self._slots.items()}
        self._terms = {term: model.token_to_id(f"<{term}>") for term in TERMS}
        self._unsaid = {*self._terms.values(), model.token_to_id(BEGIN), model.token_to_id(EMPTY)}

    @classmethod
    def train(cls, prompts: Iterable[str], vocabulary: int = VOCABULARY) -> Self:
        """Learn merges from prompts."""
        model = Tokenizer(models.BPE())
        model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary - len(MARKERS) - len(TERM_TOKENS),
            special_tokens=[AddedToken(token, normalized=False) for token in SPECIAL],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        model.train_from_iterator((normalised(prompt) for prompt in prompts), trainer)
        model.add_tokens([AddedToken(token, normalized=False) for token in (*MARKERS, *TERM_TOKENS)])
        return cls(_matching_mentions_only(model))

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to this."""
        return self._model.get_vocab_size()

    @property
    def terms(self) -> tuple[int, int]:
        """The ids of terms run from the first of these to the one before the second."""
        return min(self._terms.values()), max(self._terms.values()) + 1

    @property
    def empty(self) -> list[int]:
        """What stands for withheld words."""
        return [self._model.token_to_id(EMPTY)]

    def encode(self, text: str) -> list[int]:
        """Ids, beginning with the begin token; mentions are brought to one spelling first."""
        return [token for token, _ in self._tokens(normalised(text))]

    def positions(self, text: str) -> Tensor:
        """[start, end) of each token of a text in seconds, float64 [N, 2]: see spoken_times."""
        text = normalised(text)
        return spoken_times(text, [place for _, place in self._tokens(text)])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without the tokens that stand for no letters: begin, empty and terms."""
        return self._model.decode([i for i in ids if i not in self._unsaid], skip_special_tokens=False)

    def _tokens(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        """Ids, and which letters of a normalised text each covers."""
        coded = self._model.encode(text)
        tokens = list(zip(coded.ids, coded.offsets, strict=True))
        for end, found in reversed(terms(text)):
            place = bisect_left(tokens, end, key=lambda token: token[1][0])
            tokens[place:place] = [(self._terms[term], (end, end)) for term in found]
        return [(self._model.token_to_id(BEGIN), (0, 0)), *tokens]

    def slots(self, ids: Iterable[int]) -> list[int]:
        """The slot each token mentions, 0 for none."""
        return [self._slots.get(i, 0) for i in ids]

    def renumber(self, ids: Iterable[int], slots: Mapping[int, int]) -> list[int]:
        """The same words with other slot numbers: {old: new}."""
        return [self._ids[slots.get(self._slots[i], self._slots[i])] if i in self._slots else i for i in ids]

    def save_pretrained(self, folder: Path | str) -> None:
        """Write tokenizer.json."""
        with replacing(Path(folder) / FILE) as draft:
            self._model.save(str(draft), pretty=False)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read tokenizer.json. Errors: ValueError when it is missing or lacks the markers."""
        path = Path(folder) / FILE
        if not path.is_file():
            raise ValueError(f"{folder} lacks {FILE}; point at a folder written by save_pretrained")
        model = Tokenizer.from_file(str(path))
        lacking = [token for token in (*SPECIAL, *MARKERS, *TERM_TOKENS) if model.token_to_id(token) is None]
        if lacking:
            raise ValueError(
                f"{path} lacks the token {lacking[0]!r}; train it with training/train_tokenizer.py"
            )
        return cls(model)

    @property
    def digest(self) -> str:
        """A fingerprint of the vocabulary."""
        return hashlib.sha256(self._model.to_str().encode()).hexdigest()[:16]


def spoken_times(text: str, offsets: Iterable[tuple[int, int]]) -> Tensor:
    """[start, end) in seconds of tokens that cover text[first:last] each, float64 [N, 2].

    NaN but for the words of timed lines, which share out their line's time by their letters.
    """
    spans = torch.tensor([*offsets], dtype=torch.float64)
    times = torch.full_like(spans, torch.nan)
    for line in timed_lines(text):
        words = (spans[:, 0] >= line.first) & (spans[:, 1] <= line.last) & (spans[:, 1] > spans[:, 0])
        rate = (line.end - line.start) / (line.last - line.first)
        times[words] = line.start + (spans[words] - line.first) * rate
    return times


def _matching_mentions_only(model: Tokenizer) -> Tokenizer:
    """The same tokenizer, whose mentions count as words, so that they alone are found in a text."""
    spec = json.loads(model.to_str())
    for token in spec["added_tokens"]:
        token["special"] = token["content"] in (BEGIN, EMPTY, *TERM_TOKENS)
    return Tokenizer.from_str(json.dumps(spec))

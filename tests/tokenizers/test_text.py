"""Text is whole over any UTF-8, and mentions are single tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.prompt import normalised
from horsekit.tokenizers import TextTokenizer

SHIPPED = TextTokenizer.from_pretrained("horsekit/weights/horse-tiny/text")


@settings(deadline=None, max_examples=200)
@given(
    st.text()
    | st.lists(st.sampled_from(("a", " ", "<begin>", "<empty>", "<warm>", "[Image 1]", "é\u200d🐎"))).map(
        "".join
    )
    | st.lists(
        st.sampled_from(("Camera: ", "pans left", "Warm light", '"', ". ", "\n", "Shot 2: ", "🐎"))
    ).map("".join)
    | st.lists(
        st.sampled_from(("[Image 0] ", "character 12 ", "@Image77 ", '"a" (2-1 s) ', "[00:05-00:01] ", "a. "))
    ).map("".join)
)
def test_any_text_survives(text):
    assert SHIPPED.decode(SHIPPED.encode(text)) == normalised(text)


@pytest.mark.parametrize("spelling", ["[Image 2]", "[Image2]", "@Image2", "character2", "<sub_2>"])
def test_every_spelling_of_a_mention_is_one_slot_token(spelling):
    ids = SHIPPED.encode(f"{spelling} waves at [Image 1].")
    slots = SHIPPED.slots(ids)
    assert sorted(slot for slot in slots if slot) == [1, 2]
    assert slots.index(2) == 1, "after the begin token comes the mention"


def test_markers_of_the_grammar_are_single_tokens():
    text = "Shot 2:\nSubject: [Image 1]\nDialogue: “hello”\nCamera: a slow pan to the left"
    ids = SHIPPED.encode(text)
    for marker in ("Shot", "Subject:", "Dialogue:", "Camera:", "“", "”"):
        (token,) = SHIPPED.encode(marker)[1:]
        assert ids.count(token) == 1, marker
    assert SHIPPED.decode(ids) == text


def test_terms_stand_behind_the_words_of_their_shot():
    text = "[00:00-00:01] The view glides left. A fox. [00:01-00:02] Oily skin, lit from behind. 🐎!"
    ids = SHIPPED.encode(text)
    unsaid = [place for place, token in enumerate(ids) if not SHIPPED.decode([token])]
    assert len(unsaid) == 4, "begin, the move, the light's side and the skin"
    assert SHIPPED.decode(ids[: unsaid[1]]) == "[00:00-00:01] The view glides left. A fox."
    assert ids[-2:] == SHIPPED.encode("Very shiny skin, backlit.")[-2:]
    assert ids[unsaid[1]] == SHIPPED.encode("A leftward tracking move.")[-1]
    assert SHIPPED.positions(text)[unsaid].isnan().all() and len(SHIPPED.positions(text)) == len(ids)


def test_terms_typed_out_are_letters():
    assert len(SHIPPED.encode("<warm>")) > 2


def test_words_have_no_time_but_those_of_a_timed_line():
    text = '<sub_1> says "one two three" (0.5-1.8 s) as “四五” (2-3 s) is heard.'
    ids, times = SHIPPED.encode(text), SHIPPED.positions(text)
    assert times.shape == (len(ids), 2) and times.dtype == torch.float64
    timed = times.isfinite().all(1)
    assert SHIPPED.decode([i for i, t in zip(ids, timed, strict=True) if t]) == "one two three四五"
    spoken = times[timed]
    first = spoken[spoken[:, 0] < 1.9]
    assert first[0, 0] == 0.5 and first[-1, 1].item() == pytest.approx(1.8)
    torch.testing.assert_close(first[1:, 0], first[:-1, 1])
    assert spoken[-1].tolist() == pytest.approx([2.5, 3.0]), "each letter has its share, whatever its bytes"
    assert SHIPPED.positions("no line, no time").isnan().all()


def test_a_vocabulary_trained_anew_has_the_markers_too():
    tokenizer = TextTokenizer.train(["A man waves.", "The camera stays."] * 5, vocabulary=320)
    assert len(tokenizer.encode("Light: low")) < len(tokenizer.encode("light: low"))
    assert tokenizer.vocab_size <= 320


def test_renumbering_moves_mentions_and_nothing_else():
    ids = SHIPPED.encode("[Image 1] looks at [Image 2].")
    moved = SHIPPED.renumber(ids, {1: 3, 2: 1})
    assert SHIPPED.decode(moved) == "[Image 3] looks at [Image 1]."
    assert SHIPPED.renumber(moved, {3: 1, 1: 2}) == ids


def test_withheld_words_are_one_token_that_no_text_makes():
    assert len(SHIPPED.empty) == 1
    typed = SHIPPED.encode("<begin> and <empty>")
    assert SHIPPED.empty[0] not in typed and typed.count(typed[0]) == 1


def test_the_vocabulary_fits_the_model():
    from horsekit.transformer import TransformerConfig

    assert SHIPPED.vocab_size <= TransformerConfig.preset("horse-tiny").text_vocab_size


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"lacks tokenizer\.json"):
        TextTokenizer.from_pretrained(tmp_path)

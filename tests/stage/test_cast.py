import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.stage.cast import PARAMETERS, Character, Voice, character_distance

vectors = st.integers(0, 10**9).map(
    lambda s: torch.rand(len(PARAMETERS), generator=torch.Generator().manual_seed(s))
)


def place(name: str) -> int:
    return [p.name for p in PARAMETERS].index(name)


def test_there_are_enough_named_parameters():
    assert len(PARAMETERS) >= 20
    assert len({p.name for p in PARAMETERS}) == len(PARAMETERS)
    for p in PARAMETERS:
        assert p.meaning
        assert (len(p.choices) > 1) == (p.kind == "categorical")
        assert p.low < p.high


def test_a_seed_is_a_character_and_a_voice():
    one, again, other = Character.draw(5), Character.draw(5), Character.draw(6)
    assert torch.equal(one.parameters, again.parameters)
    assert one.voice == again.voice
    assert not torch.equal(one.parameters, other.parameters)
    assert len({Character.draw(s).voice for s in range(20)}) > 15
    voices = [Voice.draw(s) for s in range(30)]
    assert all(0 <= v.pitch <= 99 and 80 <= v.rate <= 300 for v in voices)


def test_every_choice_is_drawn():
    cast = [Character.draw(s) for s in range(250)]
    for p in PARAMETERS:
        if p.kind == "categorical":
            assert {c[p.name] for c in cast} == set(p.choices), p.name


@settings(max_examples=25, deadline=None)
@given(vectors)
def test_from_parameters_is_a_projection(vector):
    character = Character.from_parameters(vector)
    again = Character.from_parameters(character.parameters)
    assert torch.equal(character.parameters, again.parameters)
    for p in PARAMETERS:
        value = character[p.name]
        assert value in p.choices if p.kind == "categorical" else p.low <= value <= p.high + 1e-6


def test_out_of_range_values_come_to_the_nearest_valid_ones():
    vector = torch.full((len(PARAMETERS),), 0.5)
    vector[place("head_width")], vector[place("skin_hue")], vector[place("hat_kind")] = 7.0, 1.25, -3.0
    character = Character.from_parameters(vector)
    assert character["head_width"] == pytest.approx(0.57)
    assert character["skin_hue"] == pytest.approx(0.25)
    assert character["hat_kind"] == "none"


def test_bad_vectors_are_named():
    with pytest.raises(ValueError, match=f"one vector of {len(PARAMETERS)}"):
        Character.from_parameters(torch.zeros(3))
    vector = torch.zeros(len(PARAMETERS))
    vector[place("nose_size")] = torch.nan
    with pytest.raises(ValueError, match="nose_size"):
        Character.from_parameters(vector)
    with pytest.raises(ValueError, match="tail"):
        Character.draw(0)["tail"]


@settings(max_examples=25, deadline=None)
@given(vectors, vectors)
def test_distance_is_symmetric_and_bounded(a, b):
    one, two = Character.from_parameters(a), Character.from_parameters(b)
    assert character_distance(one, one) == 0
    assert character_distance(one, two) == character_distance(two, one)
    assert 0 <= character_distance(one, two) <= 1


def test_distance_counts_hues_round_the_wheel_and_categories_whole():
    base = Character.draw(1).parameters
    count = len(PARAMETERS)
    near, far, hat = base.clone(), base.clone(), base.clone()
    base[place("skin_hue")], near[place("skin_hue")], far[place("skin_hue")] = 0.02, 0.98, 0.52
    assert character_distance(base, near) == pytest.approx(2 * 0.04 / count, abs=1e-6)
    assert character_distance(base, far) == pytest.approx(1 / count, abs=1e-6)
    base[place("hat_kind")], hat[place("hat_kind")], hat[place("skin_hue")] = 0.0, 1 / 7, 0.02
    assert character_distance(base, hat) == pytest.approx(1 / count, abs=1e-6)
    rows = torch.stack([near, far, hat])
    assert character_distance(rows[:, None], rows[None]).shape == (3, 3)

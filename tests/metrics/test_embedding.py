import pytest
import torch

from horsekit.metrics.embedding import block_errors, blocks, embed
from horsekit.stage import PARAMETERS, Character

CROWD = torch.stack([embed(Character.draw(seed)) for seed in range(600)])


def with_kind(character: Character, name: str, choice: int) -> Character:
    index = [p.name for p in PARAMETERS].index(name)
    parameters = character.parameters.clone()
    parameters[index] = choice / (len(PARAMETERS[index].choices) - 1)
    return Character.from_parameters(parameters, character.voice)


def test_every_visible_parameter_has_unit_variance():
    spread = block_errors(CROWD, CROWD.mean(0)).mean(0)
    for (name, _, _), variance in zip(blocks(), spread.tolist(), strict=True):
        if name in ("head_width", "skin_hue", "nose_kind", "hair_hue", "garment_kind", "brow_tilt"):
            assert variance == pytest.approx(1.0, abs=0.15), name
        elif name != "lip_hue":  # all lips are nearly red
            assert 0.1 < variance < 1.15, name


def test_unrelated_characters_are_the_root_of_two_apart():
    errors = block_errors(CROWD[:300], CROWD[300:]).mean(1).sqrt()
    assert errors.mean() == pytest.approx(2**0.5, abs=0.12)
    assert block_errors(CROWD, CROWD).max() == 0


def test_a_hat_that_is_not_worn_has_no_colour():
    bare = with_kind(Character.draw(3), "hat_kind", 0)
    index = [p.name for p in PARAMETERS].index("hat_hue")
    other = bare.parameters.clone()
    other[index] = (other[index] + 0.5) % 1
    assert torch.equal(embed(bare), embed(Character.from_parameters(other)))
    worn, dyed = (with_kind(Character.from_parameters(p), "hat_kind", 2) for p in (bare.parameters, other))
    assert block_errors(embed(worn), embed(dyed))[index] == pytest.approx(4.0, abs=1e-4)

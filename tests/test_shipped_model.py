"""What the model that ships has learnt, as far as a few seconds can show it."""

from dataclasses import replace
from pathlib import Path

import torch

from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.lips import load_lips
from horsekit.dataset.sample import LatentSample, Recipe
from horsekit.dataset.stage import StagePlan, build
from horsekit.flow import Objective
from horsekit.sequence import pack
from horsekit.tokenizers import load_tokenizers
from horsekit.transformer import load_transformer

SHIPPED = Path("horsekit/weights/horse-tiny")
# what caches and the directions of the lips are kept under, on whatever machine
DIGESTS = {"video": "042213368f15bbc4", "audio": "6c559aece9b2e66a"}
KNOWN = Recipe(0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0)  # reference to video, one picture of each


def test_tokenizers_are_known_by_the_same_digests_on_every_machine():
    tokenizers = load_tokenizers(SHIPPED)
    assert {name: getattr(tokenizers, name).digest for name in DIGESTS} == DIGESTS
    for tokenizer in (tokenizers.video, tokenizers.audio):
        stored = [*tokenizer.state_dict().values(), torch.tensor(tokenizer.arguments["balance"])]
        for kept in tokenizer.encoder_state().values():  # what is computed from it differs in its last bits
            assert any(kept.shape == value.shape and torch.equal(kept, value) for value in stored)
    assert load_lips(SHIPPED, tokenizers).shape[0] == tokenizers.video.spec.dim


def test_two_characters_stand_where_the_words_say(tmp_path):
    plan = StagePlan(
        tmp_path, SHIPPED, 16, first_seed=9000, split="held_out", stills=True, portraits=1, pairs=1
    )
    build(plan, workers=1)
    samples = [*map(LatentDataset.open(tmp_path).__getitem__, range(plan.clips))]
    tokenizers, model = load_tokenizers(SHIPPED), load_transformer(SHIPPED / "transformer").eval()
    objective = Objective(shift=50.0, spreads=(tokenizers.video.spread, 1.0), predicts=model.config.predicts)

    def error(samples: list[LatentSample]) -> float:
        source = torch.Generator().manual_seed(0)
        batch = pack([KNOWN.sequence(sample, tokenizers.text, source) for sample in samples])
        with torch.inference_mode():
            return objective(model, batch, source).video.item()

    swapped = [replace(s, references={1: s.references[2], 2: s.references[1]}) for s in samples]
    assert error(swapped) > 1.25 * error(samples)

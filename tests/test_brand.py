"""What is asked for of a brand character, and what is found out before it is trained on."""

import shutil
from dataclasses import replace

import pytest
import torch

from horsekit import Pipeline
from horsekit.brand import CONFIG, check_measurable, finetune, regression_requests, requests_for
from horsekit.character import BrandCharacter
from horsekit.engine.config import ROOT, load_config
from horsekit.media import Picture

FENNEL, RUSTY = (BrandCharacter.load(f"data/characters/{name}") for name in ("fennel", "rusty"))


def prompted(*prompts: str) -> BrandCharacter:
    card = FENNEL.card.model_copy(update={"regression_prompts": prompts})
    return replace(FENNEL, held_out=(), card=card)


def test_regression_prompts_are_asked_for_with_everybody_who_is_in_them():
    alone = regression_requests(FENNEL)
    assert [r.prompt for r in alone] == [*FENNEL.card.regression_prompts[:3]]
    together = regression_requests(FENNEL, [RUSTY])
    assert [len(r.references) for r in together] == [1, 1, 1, 2] and together[3].voices == [
        FENNEL.voice,
        RUSTY.voice,
    ]
    bare = replace(FENNEL, card=FENNEL.card.model_copy(update={"regression_prompts": ()}))
    assert [r.prompt for r in regression_requests(bare)] == [r.prompt for r in requests_for(FENNEL, 4)]


def test_what_could_not_be_measured_is_told_before_the_training(tiny_pipeline_folder, tmp_path):
    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder)
    check_measurable(pipeline, [FENNEL, prompted("[Image 1] waves.")])
    with pytest.raises(ValueError, match=r"Fennel is to be shown by .*word.* cannot be said in .*held_out"):
        check_measurable(pipeline, [prompted('[Image 1] says: "' + "word " * 40 + '".')])
    card = FENNEL.card.model_copy(update={"regression_prompts": ("The camera pans left and pans right.",)})
    with pytest.raises(ValueError, match=r"Fennel is to be shown by .*at once.*regression_prompts"):
        check_measurable(pipeline, [replace(FENNEL, card=card)])
    with pytest.raises(ValueError, match=r"Fennel: the prompt mentions '\[Image 0\]'.*; mend it in .*fennel"):
        check_measurable(pipeline, [prompted("[Image 0] waves.")])
    with pytest.raises(ValueError, match="Fennel has no prompts"):
        check_measurable(pipeline, [prompted("[Image 1] and [Image 2] wave.")])
    grey = Picture(torch.full((64, 64, 3), 90, dtype=torch.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(ValueError, match=r"Fennel: no face was found.*metrics\.networks"):
        check_measurable(pipeline, [replace(FENNEL, references={"everyday": (grey,)})])


def test_a_folder_with_commas_and_a_model_of_ones_own_reach_the_training(
    tiny_pipeline_folder, tmp_path, monkeypatch
):
    folder = tmp_path / "Fennel, the fox 🦊: [v2] #1"
    shutil.copytree("data/characters/fennel", folder)
    monkeypatch.chdir(tiny_pipeline_folder.parent)
    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder.name)
    told = []
    monkeypatch.setattr("horsekit.jobs.start", lambda config, overrides: told.extend(overrides))
    finetune(pipeline, [BrandCharacter.load(folder)], tmp_path / "out #2", 1.0)
    config = load_config(ROOT / CONFIG, told)
    assert config.data.characters == (str(folder),)
    assert config.model == config.tokenizers == str(tiny_pipeline_folder)
    assert config.folder.parent == tmp_path / "out #2"

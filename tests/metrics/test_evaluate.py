"""The evaluation, with the stage itself in the model's place."""

import argparse
import json
from types import SimpleNamespace

import pytest
import torch

from horsekit.metrics import cast, held_out
from horsekit.pipeline import Settings
from horsekit.stage.delivery import OPPOSITES


@pytest.fixture(scope="module")
def evaluate(open_script):
    return open_script("evaluate")


class Whole:
    """A tokenizer that loses nothing."""

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        return values

    decode = encode


class Stage:
    """A model that plays the scripts as the stage does; it is handed them beforehand."""

    settings = Settings()
    tokenizers = SimpleNamespace(video=Whole(), audio=Whole())

    def generate_many(self, requests, steps=None):
        made, self.clips = self.clips[: len(requests)], self.clips[len(requests) :]
        return made


def test_the_control_of_a_duet_is_the_next_pairs_sound(evaluate):
    class Listening:
        def match(self, sound, who):
            return sound, who

    clips, choir = [SimpleNamespace(sound=k) for k in range(4)], Listening()
    duos = [(choir, 0), None, (choir, 1), (choir, 0)]
    assert evaluate.heard(clips, duos) == ((0, 0), (2, 1), (3, 0))
    assert evaluate.heard(clips, duos, others=True) == ((2, 0), (3, 1), (0, 0))


@pytest.mark.slow
def test_the_stage_in_the_models_place_is_as_good_as_the_renderer(evaluate, monkeypatch, tmp_path):
    for module in (evaluate, held_out):
        monkeypatch.setattr(module, "cast", lambda: cast()[:6])
    monkeypatch.setattr(evaluate, "GALLERY", 2)
    options = argparse.Namespace(
        model="stage", clips=6, references=1, seconds=1.28, seed=0, steps=None, sheet=tmp_path / "sheet.png"
    )
    model = Stage()
    # the first again to their sound
    alone = (held_out.draw, options.clips)
    parts = (
        alone,
        alone,
        (held_out.draw_pairs, 3),
        (held_out.draw_glosses, 2),
        (held_out.draw_deliveries, 2),
    )
    model.clips = [
        clip for draw, count in parts for clip in held_out.rendered(draw(count, options.seconds, 0)[0], 64)
    ]
    report = evaluate.evaluate(model, options)
    figures = {name: arm.summary() for name, arm in report.arms.items()}
    assert list(figures) == ["renderer", "round trip", "model", "driven", "shuffled"]
    assert figures["driven"]["offset"] == figures["model"]["offset"]
    assert figures["model"] == figures["renderer"] == figures["round trip"]
    assert figures["model"]["top1"] > 80 > 20 > figures["shuffled"]["top1"]
    assert figures["model"]["abs_offset_all"] < figures["shuffled"]["abs_offset_all"]
    assert figures["model"]["words"] < 0.4 < figures["shuffled"]["words"]
    for name in ("camera", "light", "binding", "closures", "shapes", "voice"):
        assert figures["model"][name] > 60 and figures["model"][name] > figures["shuffled"][name]
    assert figures["model"]["duet"] == 100
    assert figures["model"]["voice_delivered"] > figures["shuffled"]["voice_delivered"]
    for first, _ in OPPOSITES:
        assert figures["model"][first] == 100 and figures["shuffled"][first] == 50
    report.save_json(tmp_path / "out.json")
    data = json.loads((tmp_path / "out.json").read_text())
    assert len(data["arms"]["model"]["clips"]) == 6 and data["facts"]["clips"] == 6
    assert (tmp_path / "sheet.png").stat().st_size > 10_000

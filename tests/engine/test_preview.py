"""Previews are made as the model's clips are."""

import json

from horsekit.engine.config import DataConfig
from horsekit.engine.preview import preview_settings
from horsekit.pipeline import CARD, Settings


def test_previews_take_the_models_own_sampler_values_and_the_datas_size_and_length(tmp_path):
    data = DataConfig(kind="stage", path="anywhere", size=128, seconds=5.12)
    own = {
        "size": [64, 64], "max_seconds": 2.56, "steps": 20, "shift": 5.0,
        "guidance": {"text": 2.5, "sync": 4.0}, "sampler": "unipc", "renew_above": 0.75,
    }  # fmt: skip
    (tmp_path / CARD).write_text(json.dumps(own))
    found = preview_settings(data, tmp_path)
    assert (found.size, found.max_seconds) == ((128, 128), 5.12)
    assert (found.guidance.sync, found.renew_above, found.shift) == (4.0, 0.75, 5.0)


def test_previews_of_a_model_without_a_card_take_the_usual_values(tmp_path):
    found = preview_settings(DataConfig(kind="stage", path="anywhere"), tmp_path)
    assert found == Settings(size=(64, 64))

"""Adapters are ranked by how true their character is and how well others are left alone."""

from pathlib import Path

import pytest

from horsekit.metrics.ranking import rank
from tests.metrics.test_leakage import FENNEL, Show


class Worn(Show):
    """A model whose adapters are worse the more of a picture they cover with grey."""

    def generate_many(self, requests, steps=None):
        cover = {None: 30, "good.safetensors": 0, "same.safetensors": 0, "bad.safetensors": 40}[
            self.adapter and self.adapter.name
        ]
        adapter, self.adapter = self.adapter, None
        clips = super().generate_many(requests)
        self.adapter = adapter
        for clip in clips:
            clip.frames[:, :cover] = 128
        return clips


def ranked(*names: str):
    model = Worn()
    return model, rank(model, {name: Path(f"{name}.safetensors") for name in names}, [FENNEL], clips=6)


def test_the_truest_is_best_and_the_verdict_says_how_sure_that_is():
    model, result = ranked("bad", "good")
    assert [one.name for one in result.ranked] == ["good", "base", "bad"]
    assert result.ranked[1].worse and result.ranked[2].worse and not result.ranked[0].worse
    assert result.verdict == "good is best; significantly better than all others"
    assert model.adapter == Path("good.safetensors")
    assert result.best == "good" and result.verdict in result._repr_html_()
    assert "others: way towards the character" in result.ranked[2].costs
    assert "others: way towards the character" not in result.ranked[0].costs
    assert "*" in result.table() and result.data()["verdict"] == result.verdict


def test_of_equals_none_is_significantly_better():
    _, result = ranked("good", "same")
    assert result.verdict.endswith("is best; not significantly better than " + result.ranked[1].name)
    assert {one.name for one in result.ranked[:2]} == {"good", "same"}


def test_nothing_to_rank_is_said():
    with pytest.raises(ValueError, match="no adapter to rank"):
        rank(Worn(), {}, [FENNEL])
    with pytest.raises(ValueError, match="no character to rank by"):
        rank(Worn(), {"good": Path("good.safetensors")}, [])

from types import SimpleNamespace

import pytest
import torch

from horsekit import cli
from horsekit.flow import Guidance
from horsekit.media import Clip
from horsekit.pipeline import Pipeline


class FakePipeline:
    settings = SimpleNamespace(steps=4, guidance=Guidance(3.0, 2.0))

    def __init__(self) -> None:
        self.asked, self.adapter, self.error = None, None, None

    def load_adapter(self, path):
        self.adapter = path

    def generate(self, prompt, references, seconds, seed, *, steps, guidance, callback):
        self.asked = (prompt, references, seconds, seed, steps, guidance)
        for index in range(steps or self.settings.steps):
            callback(SimpleNamespace(index=index, total=steps))
        if self.error:
            raise self.error
        return Clip(torch.zeros(5, 64, 64, 3, dtype=torch.uint8), torch.zeros(5 * 640, 1))


@pytest.fixture
def pipeline(monkeypatch):
    pipeline = FakePipeline()
    monkeypatch.setattr(Pipeline, "from_pretrained", classmethod(lambda cls, name: pipeline))
    return pipeline


def generate(out, *more: str) -> int:
    return cli.main(["generate", "--prompt", "a man waves", "--out", str(out), *more])


def test_generate_writes_the_clip_and_prints_its_path(pipeline, tmp_path, capsys):
    out = tmp_path / "new" / "x.mp4"
    code = generate(out, "--seed", "3", "--seconds", "0.96", "--steps", "6", "--text-guidance", "5")
    assert code == 0
    assert pipeline.asked == ("a man waves", [], 0.96, 3, 6, Guidance(5.0, 2.0))
    shown = capsys.readouterr()
    assert shown.out.strip() == str(out)
    assert "6/6" in shown.err
    assert Clip.open(out).metadata["seed"] == "3"


def test_each_reference_option_is_one_character(pipeline, tmp_path):
    generate(tmp_path / "x.mp4", "--reference", "a.png", "b.png", "--reference", "c.png")
    assert pipeline.asked[1] == [["a.png", "b.png"], ["c.png"]]


def test_an_adapter_is_put_on(pipeline, tmp_path):
    generate(tmp_path / "x.mp4", "--adapter", "brand.safetensors")
    assert pipeline.adapter.name == "brand.safetensors"


def test_what_a_user_can_mend_is_one_line_and_leaves_nothing(pipeline, tmp_path, capsys):
    pipeline.error = ValueError("the prompt mentions [Image 2],\n  but 1 was given; add the picture")
    assert generate(tmp_path / "x.mp4") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "horsekit: the prompt mentions [Image 2], but 1 was given; add the picture"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "complaint"), [("x.avi", "name it x.mp4"), ("folder.mp4", "is a folder")])
def test_an_output_that_cannot_be_is_refused_before_the_work(pipeline, tmp_path, capsys, name, complaint):
    (tmp_path / "folder.mp4").mkdir()
    assert generate(tmp_path / name) == 2
    assert complaint in capsys.readouterr().err
    assert pipeline.asked is None


def test_a_folder_that_is_a_file_is_refused(pipeline, tmp_path, capsys):
    (tmp_path / "notes").write_text("")
    assert generate(tmp_path / "notes" / "x.mp4") == 2
    assert "choose another folder" in capsys.readouterr().err
    assert pipeline.asked is None


def test_an_interrupt_leaves_nothing(pipeline, tmp_path, capsys):
    pipeline.error = KeyboardInterrupt()
    assert generate(tmp_path / "x.mp4") == 130
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_named(tmp_path, capsys):
    assert generate(tmp_path / "x.mp4", "--model", "no-such-horse") == 2
    assert "no-such-horse" in capsys.readouterr().err


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command.name in shown


def test_the_demo_needs_a_clone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert cli.main(["demo"]) == 2
    assert "clone" in capsys.readouterr().err

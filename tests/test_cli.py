from types import SimpleNamespace

import pytest
import torch

from horsekit import cli
from horsekit.flow import Guidance
from horsekit.media import Clip, Picture
from horsekit.pipeline import Pipeline


class FakePipeline:
    settings = SimpleNamespace(steps=4, guidance=Guidance(3.0, 2.0), rendered=False)

    def __init__(self) -> None:
        self.asked, self.error = None, None

    def generate(self, prompt, references, seconds, seed, *, steps, guidance, callback, **given):
        self.asked = (prompt, references, seconds, seed, steps, guidance)
        self.given = {name: value for name, value in given.items() if value is not None}
        total = steps or self.settings.steps
        for index in range(total):
            callback(SimpleNamespace(index=index, total=total))
        if self.error:
            raise self.error
        frames = torch.zeros(5, 64, 64, 3, dtype=torch.uint8)
        return Clip(frames, torch.zeros(5 * 640, 1), metadata={"seed": str(seed)})


@pytest.fixture
def pipeline(monkeypatch):
    pipeline = FakePipeline()
    monkeypatch.setattr(Pipeline, "from_pretrained", classmethod(lambda cls, name: pipeline))
    return pipeline


@pytest.fixture
def saved(monkeypatch) -> list[Clip]:
    """The clips that are saved, before the encoder, which once in a thousand times makes another file of the same."""
    clips, save = [], Clip.save

    def noting(clip: Clip, *path):
        clips.append(clip)
        return save(clip, *path)

    monkeypatch.setattr(Clip, "save", noting)
    return clips


def generate(out, *more: str) -> int:
    return cli.main(["generate", "--prompt", "a man waves", "--out", str(out), *more])


def test_generate_writes_the_clip_and_prints_its_path(pipeline, tmp_path, capsys):
    out = tmp_path / "new" / "x.mp4"
    strengths = ("--text-guidance", "5", "--sync-guidance", "4", "--direction-guidance", "6")
    code = generate(out, "--seed", "3", "--seconds", "0.96", "--steps", "6", *strengths)
    assert code == 0
    assert pipeline.asked == ("a man waves", [], 0.96, 3, 6, Guidance(5.0, 2.0, sync=4.0, direction=6.0))
    shown = capsys.readouterr()
    assert shown.out.strip() == str(out)
    assert "6/6" in shown.err
    assert Clip.open(out).metadata["seed"] == "3"


def test_each_reference_option_is_one_character(pipeline, tmp_path):
    pictures = [Picture(torch.full((8, 8, 3), k, dtype=torch.uint8)) for k in range(3)]
    a, b, c = (str(picture.save(tmp_path / f"{k}.png")) for k, picture in enumerate(pictures))
    assert generate(tmp_path / "x.mp4", "--reference", a, b, "--reference", c) == 0
    assert [[int(p.pixels[0, 0, 0]) for p in slot] for slot in pipeline.asked[1]] == [[0, 1], [2]]


def test_pictures_in_which_the_reader_sees_nobody_are_told_of_a_model_that_knows_nobody_else(
    pipeline, tmp_path, capsys, monkeypatch
):
    grey = str(Picture(torch.full((8, 8, 3), 90, dtype=torch.uint8)).save(tmp_path / "a.png"))
    assert generate(tmp_path / "x.mp4", "--reference", grey) == 0
    assert "no character" not in capsys.readouterr().err
    monkeypatch.setattr(
        pipeline, "settings", SimpleNamespace(**{**vars(pipeline.settings), "rendered": True})
    )
    assert generate(tmp_path / "x.mp4", "--reference", grey) == 0
    assert "warning: no character is seen in picture 1 of [Image 1]" in capsys.readouterr().err


def test_everything_that_can_be_given_is_handed_on(pipeline, tmp_path):
    Clip(torch.zeros(5, 64, 64, 3, dtype=torch.uint8), torch.zeros(5 * 640, 1)).save(tmp_path / "a.mp4")
    files = {f"--{name}": str(tmp_path / "a.mp4") for name in ("sound", "film", "before")}
    pictures = {"--first-frame": "a.png", "--last-frame": "b.png"}
    voices = ("--voice", "-", "--voice", "c.wav", "--voice-guidance", "5")
    assert (
        generate(tmp_path / "x.mp4", *voices, *(w for pair in {**files, **pictures}.items() for w in pair))
        == 0
    )
    assert pipeline.given["first_frame"] == "a.png" and pipeline.given["last_frame"] == "b.png"
    assert pipeline.given["sound"].seconds > 0 and len(pipeline.given["film"].frames) == 5
    assert len(pipeline.given["before"].frames) == 5 and pipeline.given["voices"] == [None, "c.wav"]
    assert pipeline.asked[5].voice == 5


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


def test_a_prompt_and_pictures_become_a_clip_with_sound(tiny_pipeline_folder, tmp_path, capsys, saved):
    picture = tmp_path / "a.png"
    Picture(torch.full((90, 70, 3), 128, dtype=torch.uint8)).save(picture)
    out, again = tmp_path / "x.mp4", tmp_path / "y.mp4"
    for path in (out, again):
        options = ["--model", str(tiny_pipeline_folder), "--seconds", "0.64", "--seed", "5"]
        code = generate(path, "--prompt", "[Image 1] waves", "--reference", str(picture), *options)
        assert code == 0, capsys.readouterr().err
    clip = Clip.open(out)
    assert clip.frames.shape == (17, 32, 32, 3)
    assert clip.has_sound
    assert torch.equal(saved[0].frames, saved[1].frames)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "x.mp4", "y.mp4"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["--reference", "missing.png"], "missing.png does not exist"),
        (["--prompt", ""], "the prompt is empty"),
        (["--prompt", "[Image 3] waves"], "[Image 3]"),
        (["--seconds", "-1"], "seconds is -1"),
        (["--steps", "-1"], "steps is -1"),
        (["--text-guidance", "99"], "text guidance is 99"),
    ],
)
def test_bad_input_is_told_in_one_line(tiny_pipeline_folder, tmp_path, capsys, change, complaint):
    assert generate(tmp_path / "x.mp4", "--model", str(tiny_pipeline_folder), *change) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("horsekit: ")
    assert complaint in last
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_changes_the_clip_and_a_foreign_file_is_refused(
    tiny_pipeline_folder, tmp_path, capsys, strong_adapter, saved
):
    adapter = strong_adapter(tmp_path / "brand.safetensors", {"character": "Bo"})
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"no tensors")
    common = ["--model", str(tiny_pipeline_folder), "--seconds", "0.32"]
    assert generate(tmp_path / "x.mp4", *common) == 0
    assert generate(tmp_path / "y.mp4", *common, "--adapter", str(adapter)) == 0
    assert not torch.equal(saved[0].frames, saved[1].frames)
    assert Clip.open(tmp_path / "y.mp4").metadata["character"] == "Bo"
    assert "horsekit: warning:" in capsys.readouterr().err  # nobody's consent is named
    assert generate(tmp_path / "w.mp4", *common, "--adapter", str(adapter), "0") == 0
    assert torch.equal(saved[0].frames, saved[2].frames)
    for words, complaint in (([str(foreign)], "foreign.safetensors"), ([str(adapter), "x"], "one number")):
        assert generate(tmp_path / "z.mp4", *common, "--adapter", *words) == 2
        assert complaint in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # of peft's own dependencies
@pytest.mark.parametrize(
    ("scope", "told"), [("references", "reference tokens alone"), ("media", "pictures and sound alone")]
)
def test_an_adapter_is_exported_and_its_scope_is_told(tiny_pipeline_folder, tmp_path, capsys, scope, told):
    from horsekit.adapters.lora import add_lora, save_adapter

    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder)
    add_lora(pipeline.transformer, rank=2, alpha=2.0, scope=scope)
    save_adapter(pipeline.transformer, tmp_path / "a.safetensors", {})
    for layout, out in (("comfyui", "comfy.safetensors"), ("peft", "folder")):
        code = cli.main(
            ["export", str(tmp_path / "a.safetensors"), "--layout", layout, "--out", str(tmp_path / out)]
        )
        shown = capsys.readouterr()
        assert code == 0 and (tmp_path / out).exists() and shown.out.strip() == str(tmp_path / out)
        assert told in shown.err

import io
from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from horsekit.flow import Guidance
from horsekit.media import Clip, Picture
from horsekit.widgets import Studio
from horsekit.widgets.cards import Measure
from horsekit.widgets.pickers import camera_words, light_words, written

FRAMES = 9


def clip_of(value: int) -> Clip:
    waveform = torch.zeros(FRAMES * 640, 1)
    return Clip(torch.full((FRAMES, 64, 64, 3), value, dtype=torch.uint8), waveform)


class FakePipeline:
    """Takes as long per step as the test lets it, and remembers what it was asked for."""

    settings = SimpleNamespace(
        steps=8, max_seconds=2.56, guidance=Guidance(3.0, 2.0, voice=1.5), rendered=False
    )

    def __init__(self) -> None:
        self.asked, self.steps_done, self.error = {}, 0, None
        self.adapted = False
        self.go = Event()
        self.go.set()

    def idle(self, referenced):
        return self.adapted and not referenced

    def generate(self, prompt, references, seconds, seed, *, steps, guidance, callback):
        self.asked = dict(
            prompt=prompt, references=references, seconds=seconds, seed=seed, steps=steps, guidance=guidance
        )
        self.steps_done = 0
        if self.error:
            raise self.error
        for index in range(steps):
            assert self.go.wait(20)
            self.steps_done += 1
            callback(SimpleNamespace(index=index, total=steps, preview=lambda: clip_of(100)))
        return clip_of(seed % 256)


@pytest.fixture
def pipeline():
    return FakePipeline()


@pytest.fixture
def studio(pipeline):
    measures = [Measure("Lip-sync", "+3 ms", "sound early")]
    return Studio(pipeline, "a man waves", measure=lambda clip, references: measures)


def png(colour=(200, 30, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((70, 80, 3), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(slot, *files: tuple[str, bytes]) -> None:
    slot.upload.value = [
        {
            "name": name,
            "type": "image/png",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime.now(UTC),
        }
        for name, content in files
    ]


def make(studio) -> None:
    studio.generate.click()
    studio.wait(20)


def test_generate_makes_the_clip_that_the_form_describes(studio, pipeline):
    studio.seconds.value, studio.seed.value, studio.steps.value = 0.96, 7, 5
    for name, strength in (("text", 4.0), ("direction", 6.0), ("reference", 1.5), ("sync", 3.5)):
        studio.guidance[name].value = strength
    make(studio)
    assert pipeline.asked == {
        "prompt": "a man waves",
        "references": [],
        "seconds": 0.96,
        "seed": 7,
        "steps": 5,
        "guidance": Guidance(4.0, 1.5, voice=1.5, sync=3.5, direction=6.0),
    }
    assert studio.takes[0].clip.frames[0, 0, 0, 0] == 7
    assert "<video" in studio.screen.value
    assert "+3 ms" in studio.beside.value
    assert studio.progress.value == studio.progress.max == 5
    assert not studio.generate.disabled
    assert studio.stop.disabled


def test_a_preview_is_shown_while_the_clip_is_being_made(studio, pipeline, monkeypatch):
    monkeypatch.setattr("horsekit.widgets.studio.SECONDS_BETWEEN_PREVIEWS", 0)
    shown = []
    studio.screen.observe(lambda change: shown.append(change["new"]), "value")
    make(studio)
    assert any("image/webp" in html for html in shown[:-1])
    assert "video/mp4" in shown[-1]


def test_stop_takes_effect_within_a_step(studio, pipeline):
    pipeline.go.clear()
    studio.generate.click()
    assert studio.running
    assert studio.generate.disabled
    studio.stop.click()
    pipeline.go.set()
    studio.wait(20)
    assert pipeline.steps_done == 1
    assert studio.takes == []
    assert studio.status.value == "stopped"
    make(studio)
    assert len(studio.takes) == 1


def test_what_stands_beside_a_clip_is_its_own(studio, pipeline):
    upload(studio.references.slots[0], ("a.png", png()))
    make(studio)
    last = studio.beside.value
    assert "+3 ms" in last
    pipeline.go.clear()
    studio.references.slots[0].clear.click()
    studio.generate.click()
    assert "+3 ms" not in studio.beside.value and studio.beside.value != last
    studio.stop.click()
    pipeline.go.set()
    studio.wait(20)
    assert studio.beside.value == last and "<video" in studio.screen.value, "the clip that there is"


def test_an_adapter_that_does_nothing_without_pictures_is_told(studio, pipeline):
    pipeline.adapted = True
    make(studio)
    assert "with references alone" in studio.message.value
    upload(studio.references.slots[0], ("a.png", png()))
    make(studio)
    assert "with references alone" not in studio.message.value


def test_a_second_click_while_one_is_made_does_nothing(studio, pipeline):
    pipeline.go.clear()
    studio.generate.click()
    studio.generate.click()
    pipeline.go.set()
    studio.wait(20)
    assert len(studio.takes) == 1


def test_an_error_is_told_with_its_remedy_and_the_form_is_kept(studio, pipeline):
    pipeline.error = ValueError("the prompt mentions [Image 3]; add the picture <b>")
    make(studio)
    assert "add the picture &lt;b&gt;" in studio.message.value
    assert studio.prompt.value == "a man waves"
    assert not studio.generate.disabled
    pipeline.error = None
    make(studio)
    assert studio.message.value == ""
    assert len(studio.takes) == 1


def test_a_fault_of_the_program_is_told_too(studio, pipeline):
    pipeline.error = RuntimeError("shapes differ")
    make(studio)
    assert "RuntimeError: shapes differ" in studio.message.value


def test_references_are_grouped_by_character(studio, pipeline):
    first, second, *_ = studio.references.slots
    upload(first, ("front.png", png()), ("side.png", png()))
    upload(second, ("other.png", png((0, 90, 0))))
    make(studio)
    given = pipeline.asked["references"]
    assert [len(pictures) for pictures in given] == [2, 1]
    assert given[1][0].pixels[0, 0].tolist() == [0, 90, 0]
    assert "[Image 2]" in studio.beside.value
    first.clear.click()
    second.clear.click()
    make(studio)
    assert pipeline.asked["references"] == []


def test_a_bad_upload_is_named_and_the_good_ones_are_kept(studio):
    slot = studio.references.slots[0]
    upload(slot, ("notes.png", b"not a picture"), ("good.png", png()), ("cut.png", png()[:60]))
    assert len(slot.pictures) == 1
    assert "notes.png" in studio.message.value
    assert "cut.png" in studio.message.value
    assert "/upload" not in studio.message.value
    upload(slot, ("good.png", png()))
    assert studio.message.value == ""
    assert len(slot.pictures) == 2


def test_pictures_given_at_the_start_are_shown_and_used(pipeline):
    picture = Picture(torch.zeros(64, 64, 3, dtype=torch.uint8))
    studio = Studio(pipeline, "[Image 2] waves", [[picture, picture], [picture]], measure=lambda *_: [])
    make(studio)
    assert [len(pictures) for pictures in pipeline.asked["references"]] == [2, 1]
    for given in ("data/characters/fennel/references/1.png", [picture], [[picture]]):
        studio = Studio(pipeline, "[Image 1] waves", given, measure=lambda *_: [])
        make(studio)
        assert [len(pictures) for pictures in pipeline.asked["references"]] == [1]


def test_pickers_write_their_layer_and_replace_it(studio):
    studio.prompt.value = 'A man says: "hello".'
    studio.camera.choices["move"].value = "dolly_in"
    assert studio.prompt.value == 'A man says: "hello". The camera pushes in slowly.'
    studio.camera.choices["speed"].value = "fast"
    assert studio.prompt.value == 'A man says: "hello". The camera pushes in quickly.'
    studio.light.choices["side"].value = "left"
    assert studio.prompt.value.endswith("quickly. Warm light from the left, low contrast, matte skin.")
    studio.camera.choices["move"].value = "static"
    assert "The camera stays still. Warm light" in studio.prompt.value
    assert "pushes" not in studio.prompt.value


def test_a_picker_replaces_what_was_written_and_puts_it_back(studio):
    studio.prompt.value = 'The camera pans left. A man says: "hi".'
    studio.camera.choices["move"].value = "zoom_in"
    assert studio.prompt.value == 'The camera zooms in slowly. A man says: "hi".'
    studio.camera.choices["speed"].value = "fast"
    studio.camera.choices["move"].value = ""
    assert studio.prompt.value == 'The camera pans left. A man says: "hi".'


def test_what_is_understood_of_camera_and_light_is_shown_as_it_is_written(studio):
    assert ">" + "</div>" in studio.understood.value, "nothing yet"
    studio.prompt.value = "A man waves. The lens glides left. Lit from behind. Shot 2: The camera sinks."
    assert "truck left · light from the back | crane down" in studio.understood.value


def test_a_picker_never_drops_a_mention_of_a_picture(studio):
    studio.prompt.value = "A medium close-up of [Image 1]."
    studio.camera.choices["move"].value = "pan_left"
    assert studio.prompt.value == "A medium close-up of [Image 1]. The camera pans left slowly."


def test_a_picker_leaves_what_others_than_the_camera_do():
    text, old = written(
        "[Image 1] smiles. He looks down at his hands. The camera pans left.", "camera", "It tilts."
    )
    assert (text, old) == ("[Image 1] smiles. He looks down at his hands. It tilts.", "The camera pans left.")


def test_a_picker_writes_into_an_empty_prompt(studio):
    studio.prompt.value = ""
    studio.camera.choices["move"].value = "handheld"
    assert studio.prompt.value == camera_words("handheld", "slow")


def test_every_choice_of_the_pickers_has_words(studio):
    for move in studio.camera.choices["move"].options[1:]:
        for speed in studio.camera.choices["speed"].options:
            assert camera_words(move[1], speed).endswith(".")
    sides = [value for _, value in studio.light.choices["side"].options[1:]]
    assert len({light_words(side, "cool", "high", "oily") for side in sides}) == 8


def test_an_earlier_clip_comes_back_with_its_settings(studio):
    studio.seed.value = 30
    make(studio)
    studio.seed.value, studio.prompt.value, studio.seconds.value = 200, "a woman sings", 0.64
    make(studio)
    newest, oldest = studio.history.children
    assert [box.children[1].description for box in (newest, oldest)] == ["seed 200", "seed 30"]
    first_screen = studio.screen.value
    oldest.children[1].click()
    assert studio.seed.value == 30
    assert studio.prompt.value == "a man waves"
    assert studio.seconds.value == 1.28
    assert studio.screen.value != first_screen


def test_an_earlier_clip_comes_back_with_its_pictures(studio):
    upload(studio.references.slots[0], ("a.png", png()))
    studio.references.add.click()
    upload(studio.references.slots[1], ("b.png", png((30, 30, 200))))
    make(studio)
    for slot in studio.references.slots:
        slot.clear.click()
    upload(studio.references.slots[0], ("c.png", png((30, 200, 30))))
    make(studio)
    studio.history.children[1].children[1].click()
    first, second = studio.references.pictures
    assert first[0].pixels[0, 0].tolist() == [200, 30, 30] and second[0].pixels[0, 0].tolist() == [
        30,
        30,
        200,
    ]


def test_the_dice_change_the_seed(studio):
    seeds = set()
    for _ in range(5):
        studio.dice.click()
        seeds.add(studio.seed.value)
    assert len(seeds) > 1


def test_a_viewer_without_widgets_sees_the_last_clip(studio):
    assert "JupyterLab" in studio._repr_mimebundle_()["text/html"]
    make(studio)
    bundle = studio._repr_mimebundle_()
    assert "video/mp4" in bundle["text/html"]
    assert "seed 0" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_time_to_go_is_told(studio, pipeline):
    pipeline.go.clear()
    studio.generate.click()
    said = []
    studio.status.observe(lambda change: said.append(change["new"]), "value")
    pipeline.go.set()
    studio.wait(20)
    assert any("step 4 of 8" in text and "to go" in text for text in said)
    assert said[-1].startswith("seed 0, made in")

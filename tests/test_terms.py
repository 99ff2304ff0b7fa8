"""Wordings of one meaning have one term."""

import pytest

from horsekit.prompt import Prompt
from horsekit.stage import Script
from horsekit.stage.light import DIRECTIONS
from horsekit.terms import TERMS, camera_moves, terms


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("The camera pans slowly to the left.", {("pan", "left")}),
        ("Slow push-in.", {("dolly", "in")}),
        ("It zooms out while the camera tilts up.", {("zoom", "out"), ("tilt", "up")}),
        ("The camera tracks right while it pans left.", {("truck", "right"), ("pan", "left")}),
        ("A quick rightward tracking move.", {("truck", "right")}),
        ("The camera moves in a slow arc to the left.", {("orbit", "left")}),
        ("The camera moves in.", {("dolly", "in")}),
        ("Zoom in a bit.", {("zoom", "in")}),
        ("The camera pans left and right.", {("pan", "left"), ("pan", "right")}),
        ("It pans from left to right.", {("pan", "left"), ("pan", "right")}),
        ("The camera dollies in slowly and back out.", {("dolly", "in"), ("dolly", "out")}),
        ("The camera does not move.", {("static", "")}),
        ("A static shot.", {("static", "")}),
        ("Shaky handheld view.", {("handheld", "")}),
        ("He pushes the door.", set()),
        ("The camera does not pan left but tilts up.", {("tilt", "up")}),
        ("No zoom in or out, the camera dollies in.", {("dolly", "in")}),
        ("No cuts: the camera pans left.", {("pan", "left")}),
        ("Without haste the camera glides left.", {("truck", "left")}),
        ("Not only does the camera pan left, it tilts up.", {("pan", "left"), ("tilt", "up")}),
        ("The camera does not pan left and slowly tilts up.", {("tilt", "up")}),
        ("The camera does not pan left and tilt up.", set()),
        ("At no point does the camera pan left.", set()),
        ("Never let the camera zoom in.", set()),
        ("No cuts and a slow pan left.", {("pan", "left")}),
        ("Without cuts the camera will slowly pan left.", {("pan", "left")}),
    ],
)
def test_camera_moves_are_read_from_words(text, moves):
    assert camera_moves(text) == moves


def test_terms_are_read_from_the_layers_they_belong_to():
    words = '[Image 1] turns left in a green coat and says: "zoom in, it is warm". A white room with balls far behind.'
    assert terms(words) == []
    assert terms("Light: warm.\nCamera: turn left. A bit.") == [(38, ("pan left", "a little", "warm"))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He looks up at the sky.", ()),
        ("They turn left.", ()),
        ("[Image 1] smiles. A balloon rises.", ()),
        ("Slowly rises above the crowd.", ("crane up", "slow")),
        ("Filmed as a slow lift.", ("crane up", "slow")),
        ("Slow rise.", ("crane up", "slow")),
        ("Smooth slide left.", ("truck left",)),
        ("He turns to us as the camera pushes in.", ("dolly in",)),
        ("They are filmed with a handheld camera.", ("handheld",)),
        ("She pulls back the curtain.", ()),
        ("She turns to the window as we slowly push in.", ("dolly in", "slow")),
        ("They are filmed as a slow lift.", ("crane up", "slow")),
        ("Filmed in a slow arc to the left.", ("orbit left", "slow")),
        (
            "Filmed in warm light from the left, low contrast.",
            ("light from the left", "warm", "low contrast"),
        ),
        ("Gentle swing music plays.", ()),
        ("Then we look left.", ("pan left",)),
        ("A gentle descent.", ("crane down", "slow")),
        ("She is lit from the left by warm light.", ("light from the left", "warm")),
    ],
)
def test_who_looks_up_is_not_the_camera(text, found):
    assert [term for _, those in terms(text) for term in those] == [*found]


def test_each_shot_has_its_own():
    text = "The camera cranes up. [00:00-00:01] A fox. Light with soft fill. [00:01-00:02] Matte skin."
    assert [found for _, found in terms(text)] == [("crane up",), ("low contrast",), ("matte",)]
    assert [text[:end][-5:] for end, _ in terms(text)] == ["s up.", "fill.", "skin."]


def asked(script: Script) -> set[str]:
    """The terms of what a script films."""
    camera, light = script.camera, script.light
    skin = "natural skin" if light.gloss == "normal" else light.gloss
    wanted = {camera.kind.replace("_", " "), light.colour, f"{light.key_to_fill} contrast", skin}
    wanted.add(f"light from the {DIRECTIONS[light.direction]}")
    if camera.kind != "static":
        wanted |= {camera.speed} & set(TERMS)
    if camera.kind not in ("static", "handheld"):
        wanted |= {"a little"} if camera.magnitude < 0.6 else {"far"} if camera.magnitude > 0.87 else set()
    return wanted


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_whatever_words_the_stage_finds_they_mean_what_it_films(split):
    for seed in range(300):
        script = Script.draw(seed, split, speaking=False)
        layers = script.layers(seed)
        ((_, found),) = terms(Prompt.of({name: layers[name] for name in ("camera", "light")}).text())
        if script.camera.kind == "handheld":  # "shakes a little" is one of its wordings
            found = set(found) - {"a little"}
        assert set(found) == asked(script), layers

import colorsys
import hashlib
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.stage.background import Background
from horsekit.stage.camera import CameraMove
from horsekit.stage.cast import Character
from horsekit.stage.light import Light
from horsekit.stage.render import portrait, render
from horsekit.stage.scene import ALONE, PAIR, Placement, Scene
from horsekit.stage.solids import (
    Quadric,
    Rays,
    Solids,
    ball,
    coefficients,
    cone,
    lens,
    nearest,
    screen_bounds,
)

REST = torch.tensor([0.0, 0.5, 0.0, 0.0, 0.0])


def mouths(scene: Scene, *shape: float) -> torch.Tensor:
    shape = torch.tensor(shape) if shape else REST
    return shape.expand(len(scene.characters), scene.frames, 5)


def shot(seed: int = 0, frames: int = 1, **options) -> Scene:
    return Scene(frames, (Character.draw(seed),), ALONE, background=Background(seed), **options)


def place(quadric: Quadric) -> Solids:
    matrix = torch.tensor([quadric.matrix])
    turned = torch.linalg.inv(matrix[..., :3])
    inverse = torch.cat([turned, -turned @ matrix[..., 3:]], -1)
    shape, span = torch.tensor([quadric.shape]), torch.tensor([quadric.span])
    return Solids(inverse, matrix, shape, span, torch.tensor([quadric.reach]))


def trace(quadric: Quadric, size: int = 256, focal: float = 1.5, distance: float = 4.0):
    """(hit [H, W], depth [H, W], bounds) of one solid before a camera on +z."""
    solids = place(quadric)
    rays = Rays(torch.tensor([[0.0, 0.0, distance]]), lens(torch.eye(3)[None], torch.tensor([focal])))
    ramp = (torch.arange(size) + 0.5) / size - 0.5
    v, u = torch.meshgrid(-ramp, ramp, indexing="ij")
    site = torch.arange(size * size)
    depth, owner, _ = nearest(
        coefficients(solids, rays),
        site,
        torch.zeros_like(site),
        u.reshape(1, -1),
        v.reshape(1, -1),
        size * size,
    )
    return owner.view(size, size) == 0, depth.view(size, size), screen_bounds(solids, rays)[0]


@pytest.mark.parametrize("radius", [0.1, 0.5, 1.0])
def test_a_balls_silhouette_is_the_closed_forms(radius):
    hit, depth, bounds = trace(ball((0, 0, 0), (radius,) * 3))
    silhouette = 1.5 * radius / math.sqrt(4.0**2 - radius**2)
    assert math.sqrt(hit.sum() / math.pi) / 256 == pytest.approx(silhouette, rel=0.01)
    assert bounds.tolist() == pytest.approx([-silhouette, silhouette, -silhouette, silhouette], rel=1e-4)
    assert depth[128, 128] == pytest.approx(4.0 - radius, abs=1e-3)


def test_a_cut_ball_is_open_and_a_cone_tapers():
    dome, _, _ = trace(ball((0, 0, 0), (0.5,) * 3, low=0.0))
    rows = dome.any(1).nonzero()
    assert 128 - 1.5 * 0.5 / 3.9 * 256 < rows.min() < 128 - 40
    assert abs(rows.max() - 128) < 18  # the far rim shows below the near one's height at most by perspective
    spike, _, _ = trace(cone((0, -0.5, 0), (0, 0.5, 0), 0.4, 0.05))
    widths = spike.sum(1)
    assert widths[160] > widths[128] > widths[96] > 0
    assert widths[128] / 256 == pytest.approx(1.5 * 2 * 0.225 / 4, rel=0.03)


solid = st.one_of(
    st.builds(
        ball,
        st.tuples(*[st.floats(-0.6, 0.6)] * 3),
        st.tuples(*[st.floats(0.05, 0.6)] * 3),
        st.floats(-1, 1),
        st.floats(-1, 1),
        st.floats(-1, -0.1),
        st.floats(0.1, 1),
    ),
    st.builds(
        cone,
        st.tuples(*[st.floats(-0.6, -0.1)] * 3),
        st.tuples(*[st.floats(0.1, 0.6)] * 3),
        st.floats(0.02, 0.5),
        st.floats(0.02, 0.5),
    ),
)


@settings(max_examples=30, deadline=None)
@given(solid)
def test_nothing_is_seen_outside_its_bounds(quadric):
    hit, _, (left, right, bottom, top) = trace(quadric, size=96)
    rows, columns = hit.any(1).nonzero()[:, 0], hit.any(0).nonzero()[:, 0]
    if len(rows):
        slack = 1e-4
        assert (
            left - slack <= (columns.min() + 0.5) / 96 - 0.5
            and (columns.max() + 0.5) / 96 - 0.5 <= right + slack
        )
        assert (
            bottom - slack <= 0.5 - (rows.max() + 0.5) / 96 and 0.5 - (rows.min() + 0.5) / 96 <= top + slack
        )


def test_mouths_are_at_least_ten_pixels_wide_in_the_default_shot():
    scenes = [shot(seed) for seed in range(50)]
    for view in render(scenes, [mouths(s) for s in scenes]):
        x, y, width, height = view.mouth_box[0, 0]
        assert width >= 10
        assert 2.5 <= height < width
        assert width / 2 < x < 64 - width / 2 and height / 2 < y < 64 - height / 2
        assert view.visible[0, 0] > 0.9


def test_an_open_mouth_is_dark_and_grows_with_its_aperture():
    scene = shot(4, light=Light(0, "white", "low", "matte"))
    views = render([scene] * 5, [mouths(scene, a, 0.5, 0.0, 0.0, 0.0) for a in (0, 0.25, 0.5, 0.75, 1)])
    x, y, width, height = views[-1].mouth_box[0, 0].round().int().tolist()
    box = slice(y - height // 2, y + height // 2 + 1), slice(x - width // 2, x + width // 2 + 1)
    dark = [(v.frames[0][box].float().mean(-1) < 55).sum().item() for v in views]
    assert dark == sorted(dark) and dark[0] <= 6 and dark[-1] > dark[2] > dark[1] > dark[0]
    heights = [v.mouth_box[0, 0, 3].item() for v in views]
    assert heights == sorted(heights) and heights[-1] > 7


def test_width_rounding_and_teeth_show():
    scene = shot(4, light=Light(0, "white", "low", "matte"))
    wide, narrow, round_ = render(
        [scene] * 3, [mouths(scene, 0.4, w, r, 0, 0) for w, r in ((1, 0), (0, 0), (0.5, 1))]
    )
    assert wide.mouth_box[0, 0, 2] > 1.3 * narrow.mouth_box[0, 0, 2]
    aspect = [(v.mouth_box[0, 0, 3] / v.mouth_box[0, 0, 2]).item() for v in (wide, round_)]
    assert aspect[1] > 1.5 * aspect[0]
    bare, toothed = render([scene] * 2, [mouths(scene, 0.6, 0.5, 0, t, 0) for t in (0, 1)])
    assert (toothed.frames.int() - bare.frames.int()).sum() > 1000


def test_a_light_from_the_left_brightens_the_left():
    views = [render([s], [mouths(s)])[0] for s in (shot(9, light=Light(d, "white", "high")) for d in (2, 6))]
    left, right = (v.frames[0].float().mean(-1) for v in views)
    x, y = views[0].head_box[0, 0, :2].int().tolist()
    half = left[y - 8 : y + 8, x - 10 : x].mean(), left[y - 8 : y + 8, x : x + 10].mean()
    assert half[0] > 1.2 * half[1]
    half = right[y - 8 : y + 8, x - 10 : x].mean(), right[y - 8 : y + 8, x : x + 10].mean()
    assert half[1] > 1.2 * half[0]


def test_gloss_adds_highlights_and_fill_lifts_shadows():
    def mean(**light):
        scene = shot(2, light=Light(1, **light))
        return render([scene], [mouths(scene)])[0].frames.float().mean()

    matte, normal, oily = (mean(gloss=g) for g in ("matte", "normal", "oily"))
    assert matte < normal < oily
    low, medium, high = (mean(key_to_fill=k) for k in ("low", "medium", "high"))
    assert low > medium > high


def test_sampling_at_outlines_equals_sampling_everywhere():
    scenes = [shot(seed) for seed in range(12)]
    tracks = [mouths(s, 0.6, 0.6, 0.2, 0.6, 0.5) for s in scenes]
    quick = torch.cat([v.frames for v in render(scenes, tracks)]).int()
    full = torch.cat([v.frames for v in render(scenes, tracks, edges_only=False)]).int()
    error = (quick - full).abs().float()
    # means over all pixels and channels, in steps of 1/255
    assert error.mean() < 0.8
    assert error.flatten().quantile(0.99) <= 12
    assert error.square().mean().sqrt() < 3


def test_outlines_are_smooth():
    scene = shot(3)
    rough, smooth, fine = (
        render([scene], [mouths(scene)], size=n, supersample=s)[0].frames[0].float()
        for n, s in ((64, 1), (64, 2), (256, 2))
    )
    reference = fine.view(64, 4, 64, 4, 3).mean((1, 3))
    assert (smooth - reference).square().mean() < 0.5 * (rough - reference).square().mean()
    assert (smooth - reference).abs().mean() < 2.5


def test_scenes_render_alike_alone_and_together_and_twice():
    pair = (Character.draw(1), Character.draw(2))
    scenes = [
        Scene.compose(pair, 5, seed=1),
        shot(7, 3),
        Scene.compose(pair[:1], 4, CameraMove.draw(3), seed=3),
    ]
    tracks = [mouths(s, 0.5, 0.5, 0, 0.5, 0.5) for s in scenes]
    together = render(scenes, tracks)
    for scene, track, view in zip(scenes, tracks, together, strict=True):
        alone = render([scene], [track])[0]
        assert torch.equal(alone.frames, view.frames)
        assert torch.equal(alone.mouth_box, view.mouth_box)
        assert view.frames.shape == (scene.frames, 64, 64, 3) and view.frames.dtype == torch.uint8
        count = len(scene.characters)
        assert view.mouth_box.shape == view.head_box.shape == (count, scene.frames, 4)
        assert view.visible.shape == (count, scene.frames)


def test_a_character_renders_the_same_from_its_parameters():
    for seed in range(6):
        scene, copy = shot(seed), Character.from_parameters(Character.draw(seed).parameters)
        twin = Scene(1, (copy,), ALONE, background=Background(seed))
        one, two = render([scene, twin], [mouths(scene)] * 2)
        assert torch.equal(one.frames, two.frames)


_DIGEST = """
import hashlib, torch
torch.set_num_threads(1)
from horsekit.stage import CameraMove, Character, Light, Scene, portrait, render
scene = Scene.compose((Character.draw(8), Character.draw(9)), 5, CameraMove.draw(8), Light.draw(8), seed=8)
frames = render([scene], [torch.full((2, 5, 5), 0.4)])[0].frames
print(hashlib.sha256(frames.numpy().tobytes() + portrait(Character.draw(8), 4).numpy().tobytes()).hexdigest())
"""


def test_pictures_are_the_same_in_every_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].strip()) == hashlib.sha256().digest_size * 2


def test_portraits_show_the_same_character_otherwise():
    character = Character.draw(11)
    pictures = [portrait(character, seed) for seed in range(3)]
    assert torch.equal(pictures[0], portrait(character, 0))
    assert pictures[0].shape == (64, 64, 3)
    assert (pictures[0].float() - pictures[1].float()).abs().mean() > 5
    assert portrait(character, 0, size=96).shape == (96, 96, 3)


def test_boxes_follow_the_picture():
    scene = shot(5, light=Light(0, "white", "low", "matte"))
    small, large = (render([scene], [mouths(scene)], size=n)[0] for n in (64, 128))
    assert torch.allclose(2 * small.mouth_box, large.mouth_box, atol=1e-3)
    shut, open_ = render([scene] * 2, [mouths(scene), mouths(scene, 1, 0.5, 0, 0, 0)])
    moved = (shut.frames[0].int() - open_.frames[0].int()).abs().amax(-1) > 40
    x, y, width, height = open_.mouth_box[0, 0].tolist()
    rows, columns = moved.nonzero().unbind(-1)
    inside = ((columns + 0.5 - x).abs() < width / 2 + 1) & ((rows + 0.5 - y).abs() < height / 2 + 1.5)
    assert inside.float().mean() > 0.8


def test_markers_hang_where_they_are_said_to():
    for seed in range(4):
        scene = shot(seed, light=Light(0, "white", "low", "matte"))
        view = render([scene], [mouths(scene)])[0]
        markers = scene.background.markers
        offset = (markers.position.double() - view.camera.position[0]) @ view.camera.rotation[0]
        flat = view.camera.focal[0] * offset[:, :2] / -offset[:, 2:]
        shown = flat.abs().amax(-1) < 0.5
        assert shown.sum() >= 8
        assert (-offset[shown, 2]).max() > 1.8 * (-offset[shown, 2]).min()
        columns, rows = (64 * (flat[shown] * torch.tensor([1, -1]) + 0.5)).long().unbind(-1)
        seen = [colorsys.rgb_to_hsv(*c)[0] for c in (view.frames[0, rows, columns] / 255).tolist()]
        true = [colorsys.rgb_to_hsv(*c)[0] for c in markers.colour[shown].tolist()]
        apart = [abs((a - b + 0.5) % 1 - 0.5) for a, b in zip(seen, true, strict=True)]
        # one or two may hang behind a hat, an ear or each other
        assert sum(d < 0.04 for d in apart) >= 6


def test_visibility_falls_out_of_frame_and_behind_someone():
    def seen(*placements: Placement, yaw: float = 0.0):
        cast = tuple(Character.draw(i) for i in range(len(placements)))
        scene = Scene(1, cast, placements, CameraMove(start_distance=5.7, start_aim_yaw=yaw))
        return render([scene], [mouths(scene)])[0].visible[:, 0]

    assert (seen(*PAIR) > 0.95).all()
    assert seen(*ALONE, yaw=0.33)[0] < 0.8
    front, behind = seen(Placement((0.1, 0.0, 1.2)), Placement((0.0, 0.0, -0.5)))
    assert front > 0.95 and behind < 0.4


def test_wrong_shapes_are_named():
    scene = shot(0, 3)
    with pytest.raises(ValueError, match=r"\[1, 2, 5\]"):
        render([scene], [torch.zeros(1, 2, 5)])
    with pytest.raises(ValueError, match="1 scenes and 0"):
        render([scene], [])
    with pytest.raises(ValueError, match="placements"):
        Scene(1, (Character.draw(0),), PAIR)
    with pytest.raises(ValueError, match="blink"):
        Scene(2, (Character.draw(0),), ALONE, blink=torch.zeros(1, 3))
    assert render([], []) == []

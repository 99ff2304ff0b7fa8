import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.stage.camera import MOVES, SPEEDS, TARGET, CameraMove, camera_path
from horsekit.stage.light import DIRECTIONS, STOPS, Light

FRAMES = 33
target = torch.tensor(TARGET, dtype=torch.float64)


def path(kind, **options):
    return camera_path(CameraMove.centred(kind, **options), FRAMES)


def still(x):
    return torch.allclose(x, x[:1].expand_as(x), atol=1e-12)


@pytest.mark.parametrize("kind", ["orbit_left", "orbit_right"])
def test_an_orbit_keeps_its_distance_and_looks_at_its_subject(kind):
    position, rotation, focal = path(kind, magnitude=1.0)
    away = (position - target).norm(dim=-1)
    assert torch.allclose(away, away[:1].expand_as(away))
    assert torch.allclose(rotation[:, :, 2] * away[:, None], position - target)
    assert still(focal)
    travelled = torch.atan2(position[:, 0], position[:, 2])
    assert travelled[-1] - travelled[0] == pytest.approx(
        math.radians(65) * (-1 if kind == "orbit_left" else 1)
    )


@pytest.mark.parametrize("kind", ["zoom_in", "zoom_out"])
def test_a_zoom_changes_the_focal_length_alone(kind):
    position, rotation, focal = path(kind)
    assert still(position) and still(rotation)
    steps = focal.diff() * (1 if kind == "zoom_in" else -1)
    assert (steps >= -1e-12).all() and steps.sum() > 0.1


@pytest.mark.parametrize("kind", ["dolly_in", "dolly_out"])
def test_a_dolly_moves_along_its_axis(kind):
    position, rotation, focal = path(kind, start_yaw=0.3)
    assert still(rotation) and still(focal)
    moved = position - position[:1]
    axis = rotation[0, :, 2]
    along = moved @ axis
    assert torch.allclose(along[:, None] * axis, moved, atol=1e-12)
    assert (along[-1] > 0.5) if kind == "dolly_out" else (along[-1] < -0.5)


@pytest.mark.parametrize(
    ("kind", "axis", "sign"), [("pan_left", 0, -1), ("pan_right", 0, 1), ("tilt_up", 1, 1)]
)
def test_pan_and_tilt_turn_in_place(kind, axis, sign):
    position, rotation, focal = path(kind)
    assert still(position) and still(focal)
    forward = -rotation[:, :, 2]
    assert (forward[-1, axis] - forward[0, axis]) * sign > 0.05


def test_truck_and_crane_carry_the_camera_its_own_way():
    left = path("truck_left")
    assert still(left.rotation)
    assert (left.position[-1] - left.position[0])[0] < -0.3
    assert torch.allclose(left.position[:, 1:], left.position[:1, 1:].expand(FRAMES, 2))
    up = path("crane_up")
    assert up.position[-1, 1] - up.position[0, 1] > 0.5
    assert torch.allclose((up.position - target).norm(dim=-1), torch.tensor(3.6, dtype=torch.float64))


def test_static_stands_and_handheld_wanders_by_its_seed():
    assert all(still(x) for x in path("static"))
    one, two = path("handheld", seed=1), path("handheld", seed=2)
    assert not still(one.position) and not torch.equal(one.position, two.position)
    assert torch.equal(one.rotation, path("handheld", seed=1).rotation)


def test_a_faster_move_arrives_sooner_at_the_same_place():
    paths = [path("orbit_left", speed=speed) for speed in SPEEDS]
    for p in paths[1:]:
        assert torch.allclose(p.position[-1], paths[0].position[-1])
    fastest = [p.position.diff(dim=0).norm(dim=-1).max() for p in paths]
    assert fastest[0] < fastest[1] < fastest[2]
    # no jerk at the ends
    for p, peak in zip(paths, fastest, strict=True):
        assert p.position.diff(dim=0)[0].norm() < 0.2 * peak


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MOVES),
    st.sampled_from(tuple(SPEEDS)),
    st.floats(0.05, 1),
    st.booleans(),
    st.integers(0, 99),
)
def test_the_face_stays_in_frame_whatever_the_move(kind, speed, magnitude, centred, seed):
    make = CameraMove.centred if centred else CameraMove
    position, rotation, focal = camera_path(make(kind, speed, magnitude, seed=seed), FRAMES)
    assert position.dtype == torch.float64
    unit = torch.eye(3, dtype=torch.float64).expand_as(rotation)
    assert torch.allclose(rotation @ rotation.mT, unit, atol=1e-12)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(FRAMES, dtype=torch.float64))
    mouth = torch.tensor([0.0, -0.29, 0.5], dtype=torch.float64)
    view = ((mouth - position)[:, None] @ rotation)[:, 0]
    flat = focal[:, None] * view[:, :2] / -view[:, 2:]
    assert flat.abs().max() < 0.5


def test_unknown_words_are_named():
    for bad in ({"kind": "wobble"}, {"speed": "warp"}, {"magnitude": 0.0}, {"start_distance": -1.0}):
        with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
            CameraMove(**bad)
    with pytest.raises(ValueError, match="0 frames"):
        camera_path(CameraMove(), 0)
    for bad in ({"direction": 8}, {"colour": "beige"}, {"key_to_fill": "none"}, {"gloss": "wet"}):
        with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
            Light(**bad)


def test_a_drawn_move_is_the_same_every_time():
    assert CameraMove.draw(3) == CameraMove.draw(3)
    assert {CameraMove.draw(s).kind for s in range(200)} == set(MOVES)


def test_light_keeps_its_exposure_and_its_side():
    for ratio, stops in STOPS.items():
        light = Light(key_to_fill=ratio)
        assert light.key[0] + light.fill == pytest.approx(1)
        assert math.log2((light.key[0] + light.fill) / light.fill) == pytest.approx(stops)
    for direction, name in enumerate(DIRECTIONS):
        x, y, z = Light(direction).toward
        assert math.hypot(x, y, z) == pytest.approx(1)
        assert (x < -0.1) == ("left" in name) and (x > 0.1) == ("right" in name)
        assert (z > 0.1) == ("front" in name) and (z < -0.1) == ("back" in name)
        assert y > 0

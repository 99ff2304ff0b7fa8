"""Identity from readings that are known exactly."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from horsekit.media import Picture
from horsekit.metrics import Crowd, Reading, cast, identity_of
from horsekit.metrics.embedding import embed
from horsekit.metrics.identity import way_between

CROWD = Crowd.of(cast())


def reading(characters: torch.Tensor, face: float = 1.0) -> Reading:
    frames = len(characters)
    return Reading(characters, torch.full((frames,), face), torch.zeros(frames, 2), torch.zeros(frames))


def test_an_exact_reading_is_found_without_error_or_drift():
    who = identity_of(reading(CROWD.points[[7] * 33]), CROWD.points, 7, 25)
    assert who.found and who.error == 0 and who.drift == 0 and who.own < 1e-6
    assert who.margin == pytest.approx(who.other) and who.other > 0.3 and not who.reason


def test_another_character_is_not_found():
    who = identity_of(reading(CROWD.points[[7] * 33]), CROWD.points, 8, 25)
    assert not who.found and who.margin < 0
    assert who.error == pytest.approx(2**0.5, abs=0.4)


@pytest.mark.parametrize("per_second", [0.4, -0.2])
def test_drift_is_the_slope_of_the_error(per_second):
    own, other = CROWD.points[0], CROWD.points[1]
    away = (own - other) / (own - other).square().sum().div(36).sqrt()  # an error of one
    error = 0.5 + per_second * torch.arange(50) / 25
    who = identity_of(reading(own - error[:, None] * away), CROWD.points, 0, 25)
    assert who.drift == pytest.approx(per_second, abs=1e-4)
    assert who.error == pytest.approx(error.median().item(), abs=0.01)


@given(st.integers(0, 99), st.integers(0, 99), st.floats(-0.5, 1.5))
def test_a_point_on_the_way_lies_where_it_was_put(first, second, share):
    assume(first != second)
    own, other = CROWD.points[first], CROWD.points[second]
    seen = own + share * (other - own)
    assert way_between(seen, own, other) == pytest.approx(share, abs=1e-3)
    assert way_between(seen, other, own) == pytest.approx(1 - share, abs=1e-3)


def test_the_way_may_be_measured_in_some_coordinates_alone():
    own, other = CROWD.points[:2]
    where = (torch.arange(len(own)) < len(own) // 2).float()
    seen = torch.where(where > 0, other, own)
    assert way_between(seen, own, other, where) == pytest.approx(1, abs=1e-4)
    assert way_between(seen, own, other, 1 - where) == pytest.approx(0, abs=1e-4)


def test_one_bad_frame_does_not_move_the_error():
    points = CROWD.points[[3] * 20].clone()
    points[5] = CROWD.points[4]
    assert identity_of(reading(points), CROWD.points, 3, 25).error == 0


def test_one_frame_has_no_drift():
    who = identity_of(reading(CROWD.points[:1]), CROWD.points, 0, 25)
    assert who.found and who.drift is None


def test_without_a_face_there_is_a_reason_and_no_number():
    who = identity_of(reading(CROWD.points[:9], face=0.1), CROWD.points, 0, 25)
    assert not who.found and who.error is None and who.margin is None
    assert "no face" in who.reason and who.faces == 0


def test_a_crowd_around_a_character_has_it_first():
    crowd = Crowd.around(cast()[50])
    assert crowd.points.shape == CROWD.points.shape
    assert torch.equal(crowd.points[0], embed(cast()[50]))


def test_pictures_without_a_face_are_refused():
    blank = Picture(torch.full((64, 64, 3), 128, dtype=torch.uint8))
    with pytest.raises(ValueError, match="no face"):
        Crowd.around([blank])
    with pytest.raises(ValueError, match="at least one"):
        Crowd.around([])
    with pytest.raises(ValueError, match="give one each"):
        Crowd.of(cast()[:2], [[blank]])

import pytest
import torch

from horsekit import metrics
from horsekit.media import Clip, Picture
from horsekit.metrics import Identity, Sync
from horsekit.widgets.measures import UNKNOWN, measure

CLIP = Clip.silent(torch.zeros(5, 64, 64, 3, dtype=torch.uint8))
PICTURE = Picture(torch.zeros(64, 64, 3, dtype=torch.uint8))


@pytest.fixture
def read(monkeypatch):
    """Let the metrics say what the test wants them to."""

    class Blind:
        reader = type("Reader", (), {"read": staticmethod(lambda frames: None)})

    def install(sync: Sync, identity: Identity) -> None:
        monkeypatch.setattr(metrics, "sync_of", lambda clip: sync)
        monkeypatch.setattr(metrics, "trained", Blind)
        monkeypatch.setattr(
            metrics.Crowd, "around", staticmethod(lambda target: metrics.Crowd(torch.zeros(2, 3)))
        )
        monkeypatch.setattr(metrics, "identity_of", lambda *_: identity)

    return install


def test_numbers_come_with_their_meaning(read):
    read(Sync(offset=-7.6, peak=0.81), Identity(1.0, error=0.4, own=0.3, other=0.9))
    sync, likeness = measure(CLIP, [[PICTURE]])
    assert (sync.value, sync.note) == ("-8 ms", "sound late; match 0.81")
    assert (likeness.value, likeness.note) == ("0.30 σ", "from its pictures; closer than others at 0.90 σ")


def test_a_stranger_is_called_one(read):
    read(Sync(reason="the clip is silent"), Identity(1.0, error=1.2, own=1.1, other=0.6))
    sync, likeness = measure(CLIP, [[PICTURE]])
    assert (sync.value, sync.note) == (UNKNOWN, "the clip is silent")
    assert "nearer to others at 0.60" in likeness.note


@pytest.mark.parametrize(
    ("references", "reason"), [([], "reference picture"), ([[PICTURE], [PICTURE]], "one character")]
)
def test_likeness_needs_one_character(read, references, reason):
    read(Sync(offset=1.0, peak=0.9), Identity(1.0))
    assert reason in measure(CLIP, references)[1].note


def test_an_unreadable_clip_gets_a_reason_and_no_error(read, monkeypatch):
    read(Sync(offset=1.0, peak=0.9), Identity(0.0, reason="no face in view in 100% of the frames"))
    assert measure(CLIP, [[PICTURE]])[1].note.startswith("no face")

    def fail(clip):
        raise ValueError("no face was found; give pictures that show the face")

    monkeypatch.setattr(metrics, "sync_of", fail)
    assert "give pictures" in measure(CLIP, [[PICTURE]])[0].note

import time
from pathlib import Path

import pytest

from horsekit.jobs import JobProgress
from horsekit.widgets import Live
from horsekit.widgets.live import loss_curve, smoothed

PNG = b"\x89PNG"


class FakeJob:
    folder = Path("runs/brand")

    def __init__(self, state: str = "running") -> None:
        self.state, self.steps, self.stopped = state, 0, False

    def progress(self) -> JobProgress:
        loss = 1 / self.steps if self.steps else None
        return JobProgress(self.state, self.steps, 10, loss, eta=83.0 if self.state == "running" else None)

    def records(self) -> list[dict]:
        return [{"step": step, "loss": 1 / step} for step in range(1, self.steps + 1)]

    def failure(self) -> str:
        return "the run failed: ValueError: <rank>"

    def stop(self) -> None:
        self.stopped, self.state = True, "stopped"


def until(condition, timeout=10):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


@pytest.fixture
def job():
    job = FakeJob()
    yield job
    job.state = "finished"


def test_it_follows_the_run_to_its_end(job):
    live = Live(job, every=0.02)
    empty = live.curve.value
    job.steps = 4
    until(lambda: live.curve.value != empty)
    assert live.progress.value == 4
    assert live.status.value == "step 4 of 10, loss 0.2500, 1:23 to go"
    assert bytes(live.curve.value).startswith(PNG)
    job.state = "finished"
    until(lambda: live.stop.disabled)
    assert live.progress.bar_style == "success"


def test_it_redraws_only_when_something_was_logged(job):
    live, drawn = Live(job, every=60), []
    live.curve.observe(drawn.append, "value")
    job.steps = 2
    live.redraw()
    live.redraw()
    assert len(drawn) == 1


def test_stop_ends_the_run(job):
    live = Live(job, every=0.02)
    live.stop.click()
    until(lambda: job.stopped and live.progress.bar_style == "warning")


def test_a_failure_is_shown():
    live = Live(FakeJob("failed"))
    assert "&lt;rank&gt;" in live.message.value
    assert live.progress.bar_style == "danger"


def test_a_viewer_without_widgets_sees_the_curve():
    assert "image/png" in Live(FakeJob("finished"))._repr_mimebundle_()["text/html"]


def test_smoothing_keeps_a_constant_and_starts_at_the_first_value():
    assert smoothed([2.0] * 5) == pytest.approx([2.0] * 5)
    assert smoothed([4.0, 0.0])[0] == pytest.approx(4.0)
    assert smoothed([4.0, 0.0])[1] == pytest.approx(0.8 * 4 / 1.8)


def test_the_curve_of_nothing_is_still_a_picture():
    assert loss_curve([], "brand").startswith(PNG)

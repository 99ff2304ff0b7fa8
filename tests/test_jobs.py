import json
import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from horsekit.jobs import Job, JobError, clock_text, launch, start

TRAINS = """
    import json, signal, sys, time
    from pathlib import Path

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    with (folder / "log.jsonl").open("w") as log:
        for step in range(1, steps + 1):
            left = 0.05 * (steps - step)
            record = {"step": step, "steps": steps, "loss": 1 / step, "seconds": 0.05 * step}
            record["eta_seconds"] = left
            print(json.dumps(record), file=log, flush=True)
            print(f"step {step}")
            time.sleep(0.05)
            if stop:
                (folder / "checkpoint").write_text(str(step))
                break
"""
FAILS = """
    import sys
    print("warming up")
    print("\\rhalf\\rwhole", file=sys.stderr)
    raise ValueError("the rank is -3; use at least 1")
"""
ENDLESS = 10_000


@pytest.fixture
def run(tmp_path):
    """Start a script of one's own as a run; whatever still goes on at the end of the test is killed."""
    jobs = []

    def begin(source: str, steps: int = 3) -> Job:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(source))
        folder = tmp_path / "run"
        jobs.append(launch(folder, [sys.executable, "-u"], [str(script), str(folder), str(steps)]))
        return jobs[-1]

    yield begin
    for job in jobs:
        if job.state == "running":
            os.killpg(json.loads((job.folder / "job.json").read_text())["pid"], signal.SIGKILL)


def until(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def test_a_run_reports_where_it_stands_and_finishes(run):
    job = run(TRAINS, steps=3)
    progress = job.wait(poll=0.02)
    assert (progress.state, progress.step, progress.total) == ("finished", 3, 3)
    assert progress.loss == pytest.approx(1 / 3)
    assert progress.eta is None
    assert str(progress) == "step 3, loss 0.3333, finished"
    assert job.log_tail() == "step 1\nstep 2\nstep 3"


def test_wait_shows_the_step_and_the_loss(run, capsys):
    run(TRAINS, steps=3).wait(poll=0.02)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "loss 0.3333" in shown


def test_another_process_can_attach_and_stop_with_a_checkpoint(run):
    job = Job.attach(run(TRAINS, steps=ENDLESS).folder)
    until(lambda: job.progress().step > 1)
    running = job.progress()
    assert running.state == "running"
    assert running.eta > 0
    stopped = job.stop(timeout=20)
    assert stopped.state == "stopped"
    assert int((job.folder / "checkpoint").read_text()) == stopped.step
    assert job.stop() == stopped


def test_a_run_stopped_as_soon_as_it_is_started_counts_as_stopped(run):
    job = run("import time\ntime.sleep(60)")
    assert job.stop(timeout=20).state == "stopped"


def test_a_failure_names_the_run_and_shows_its_last_lines(run):
    job = run(FAILS)
    with pytest.raises(JobError) as error:
        job.wait(poll=0.02)
    assert str(job.folder) in str(error.value)
    assert "exit code 1" in str(error.value)
    assert "ValueError: the rank is -3; use at least 1" in str(error.value)
    assert "whole" in str(error.value)
    assert "half" not in str(error.value)


def test_a_run_that_was_killed_has_failed(run):
    job = run(TRAINS, steps=ENDLESS)
    until(lambda: job.progress().step > 0)
    os.killpg(json.loads((job.folder / "job.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: job.state != "running")
    assert job.state == "failed"
    assert "was killed" in job.failure()


def test_one_folder_holds_one_run_at_a_time(run):
    job = run(TRAINS, steps=ENDLESS)
    with pytest.raises(JobError, match="a run goes on"):
        run(TRAINS)
    until(lambda: job.progress().step > 0)
    job.stop(timeout=20)
    assert run(TRAINS, steps=2).wait(poll=0.02).state == "finished"


def test_a_line_still_being_written_is_left_for_the_next_time(run):
    job = run(TRAINS, steps=2)
    job.wait(poll=0.02)
    with (job.folder / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "lo')
    assert job.progress().step == 2


def test_an_earlier_log_in_the_folder_is_not_taken_for_this_runs(run):
    job = run(TRAINS, steps=3)
    job.wait(poll=0.02)
    later = run("import time\ntime.sleep(60)")
    assert later.progress().step == 0
    later.stop(timeout=20)


def test_a_time_budget_shortens_the_total(run):
    job = run(TRAINS, steps=1)
    job.wait(poll=0.02)
    record = {"step": 10, "steps": 1000, "loss": 0.5, "seconds": 20.0, "eta_seconds": 60.0}
    (job.folder / "log.jsonl").write_text(json.dumps(record) + "\n")
    (job.folder / "exit_code").write_text("1")
    assert job.progress().total == 40
    (job.folder / "exit_code").write_text("0")
    assert job.progress().total == 10


def test_a_run_of_the_repository_is_found_from_anywhere(run, tmp_path, monkeypatch):
    job = run(TRAINS)
    until(lambda: job.state == "finished")
    monkeypatch.setattr("horsekit.jobs.ROOT", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Job.attach("run").state == "finished"


def test_a_config_beside_the_notebook_is_the_one_that_is_run(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_bytes(Path("configs/train/debug.yaml").read_bytes())
    started = []
    monkeypatch.setattr("horsekit.jobs.launch", lambda folder, launcher, script: started.append(script))
    monkeypatch.chdir(tmp_path)
    start("mine.yaml", ["steps=3"])
    assert started[0][1:] == [str(tmp_path / "mine.yaml"), "steps=3"]


def test_attach_says_where_no_run_is(tmp_path):
    with pytest.raises(JobError, match="holds no run"):
        Job.attach(tmp_path)


def test_clock_text():
    assert [clock_text(s) for s in (0, 59.6, 83, 3600)] == ["0:00", "1:00", "1:23", "60:00"]

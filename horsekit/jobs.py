"""Training runs as processes that outlive the notebook's kernel.

A run lives in its folder: `job.json` says which process it is, `output.log` holds what it prints, `log.jsonl`
one line per logged step, and `exit_code` appears when it ends. So any other kernel can attach to it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from horsekit.media import replacing

ROOT = Path(__file__).resolve().parents[1]
TRAIN = ROOT / "training" / "train.py"
JOB, OUTPUT, LOG, EXIT = "job.json", "output.log", "log.jsonl", "exit_code"
# the shell outlives a SIGTERM to its group, so that the exit code is always written, and written whole
_SUPERVISE = """trap : TERM INT HUP
place=$1; shift
"$@"
echo $? > "$place.part" && mv "$place.part" "$place"
"""

# a run that was asked to end exits with 0 once it trains, before that as a SIGTERM ends a shell's child or
# DeepSpeed's launcher
_STOPPED = (0, 128 + signal.SIGTERM, 256 - signal.SIGTERM)

# without tqdm's own guess of the time to go: it knows of no time budget
_BAR = "{desc}: {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"

State = Literal["running", "finished", "stopped", "failed"]


class JobError(ValueError):
    """What is wrong with a run, with the last lines it printed."""


@dataclass(frozen=True)
class JobProgress:
    """Where a run stands: step of total (None before the first log), last loss, seconds elapsed and to go."""

    state: State
    step: int = 0
    total: int | None = None
    loss: float | None = None
    elapsed: float = 0.0
    eta: float | None = None

    def __str__(self) -> str:
        of_total = f" of {self.total}" if self.total and self.state == "running" else ""
        parts = [f"step {self.step}{of_total}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.state != "running":
            return ", ".join([*parts, self.state])
        return ", ".join(parts + ([] if self.eta is None else [f"{clock_text(self.eta)} to go"]))


@dataclass(frozen=True)
class Job:
    """A training run in a process of its own; `Job.attach(folder)` finds it again from anywhere."""

    folder: Path

    @classmethod
    def attach(cls, folder: str | Path) -> "Job":
        """The run that was started in a folder, from here or of the repository. Errors: JobError when none was."""
        for place in (Path(folder), ROOT / folder):
            if (place / JOB).is_file():
                return cls(place)
        raise JobError(f"{folder} holds no run; start one with horsekit.jobs.start, or check the path")

    @property
    def state(self) -> State:
        """Whether the run goes on, and how it ended if it does not."""
        about = self._about()
        if self.exit_code is None and self._process():
            return "running"
        code = self.exit_code  # read again: it may have ended in between
        if about["stopping"]:
            return "stopped" if code in _STOPPED else "failed"
        return "finished" if code == 0 else "failed"

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while the run goes on or when it was killed from outside."""
        path = self.folder / EXIT
        return int(path.read_text()) if path.is_file() else None

    def records(self) -> list[dict]:
        """What log.jsonl holds so far; nothing while it is still that of an earlier run."""
        from horsekit.engine import read_log

        path = self.folder / LOG
        fresh = path.is_file() and path.stat().st_mtime >= self._about()["started"]
        return read_log(self.folder) if fresh else []

    def progress(self) -> JobProgress:
        """Where the run stands, from its log."""
        about, state = self._about(), self.state
        records = [record for record in self.records() if "loss" in record]
        ended = self.folder / EXIT
        now = ended.stat().st_mtime if ended.is_file() else time.time()
        elapsed = max(0.0, now - about["started"])
        if not records:
            return JobProgress(state, elapsed=elapsed)
        last = records[-1]
        step, eta = last["step"], last["eta_seconds"]
        # a time budget may end the run before its last step
        total = min(last["steps"], round(step * (1 + eta / max(last["seconds"], 1e-9))))
        total = step if state == "finished" else total
        return JobProgress(state, step, total, last["loss"], elapsed, eta if state == "running" else None)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the run printed, a progress bar as it last stood."""
        path = self.folder / OUTPUT
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            text = file.read().decode(errors="replace")
        printed = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
        return "\n".join([line for line in printed if line][-lines:])

    def wait(self, poll: float = 0.5) -> JobProgress:
        """Show a progress bar until the run ends; the run goes on when the wait is interrupted.

        Errors: JobError with the last lines of the log when the run failed.
        """
        from tqdm.auto import tqdm

        with tqdm(desc=self.folder.name, bar_format=_BAR) as bar:
            while True:
                progress = self.progress()
                bar.total, bar.n = progress.total, progress.step
                bar.set_postfix_str(_postfix(progress) or self.log_tail(1)[-70:] or "starting")
                if progress.state != "running":
                    break
                try:
                    time.sleep(poll)
                except KeyboardInterrupt:
                    bar.write(f"{self.folder.name} goes on by itself; job.stop() ends it with a checkpoint")
                    raise
        if progress.state == "failed":
            raise JobError(self.failure())
        return progress

    def failure(self) -> str:
        """One message for a run that failed: what ran, how it ended, and its last lines."""
        code = self.exit_code
        how = "was killed (out of memory?)" if code in (None, 137) else f"ended with exit code {code}"
        return (
            f"the run in {self.folder} {how}; its last lines ({self.folder / OUTPUT}):\n{self.log_tail(15)}"
        )

    def stop(self, timeout: float = 120) -> JobProgress:
        """Ask the run to write a checkpoint and end, and wait until it has.

        Errors: JobError when it has not ended after `timeout` seconds.
        """
        if self.state == "running":
            self._write_about({**self._about(), "stopping": True})
            deadline, asked = time.monotonic() + timeout, set()
            while self.state == "running":
                for worker in self._workers():  # again and again: a run that just started has none yet
                    if worker.pid not in asked:
                        asked.add(worker.pid)
                        with contextlib.suppress(psutil.NoSuchProcess):
                            worker.send_signal(signal.SIGTERM)
                if time.monotonic() > deadline:
                    raise JobError(
                        f"the run in {self.folder} has not ended in {timeout:g} s:\n{self.log_tail()}"
                    )
                time.sleep(0.1)
        return self.progress()

    def _about(self) -> dict:
        return json.loads((self.folder / JOB).read_text(encoding="utf-8"))

    def _write_about(self, about: dict) -> None:
        with replacing(self.folder / JOB) as draft:
            draft.write_text(json.dumps(about, indent=1), encoding="utf-8")

    def _process(self) -> psutil.Process | None:
        """The run's first process, None when it is gone (or another one has its number now)."""
        about = self._about()
        try:
            process = psutil.Process(about["pid"])
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and abs(process.create_time() - about["born"]) < 1 else None
        except psutil.NoSuchProcess:
            return None

    def _workers(self) -> list[psutil.Process]:
        """The processes that train. A launcher above them would kill them on a signal of its own."""
        process, script = self._process(), self._about()["script"]
        return [
            child
            for child in (process.children(recursive=True) if process else [])
            if _script_of(child) == script and _script_of(child.parent()) != script
        ]


def start(config: str | Path, overrides: Sequence[str] = (), nproc: int = 1) -> Job:
    """Start `training/train.py config key=value ...` in a process of its own and come back at once.

    nproc: processes that train together, through the deepspeed launcher when there are several.
    Errors: ValueError for a bad config or override (before anything starts); JobError when the run's folder
    is in use by a run that goes on.
    """
    from horsekit.engine.config import config_file, load_config

    if nproc < 1:
        raise ValueError(f"nproc is {nproc}; at least one process has to train")
    folder = ROOT / load_config(config, list(overrides)).folder
    if nproc == 1:
        launcher = [sys.executable, "-u"]
    else:
        deepspeed = str(Path(sys.executable).with_name("deepspeed"))
        launcher = [sys.executable, deepspeed, "--num_gpus", str(nproc)]
    # the process works in the repository
    return launch(folder, launcher, [str(TRAIN), str(config_file(config).resolve()), *overrides])


def launch(folder: Path, launcher: Sequence[str], script: Sequence[str]) -> Job:
    """Run `launcher... script...` in a session of its own, with `folder` as its run folder.

    script: the path of a Python file and its arguments. Errors: JobError when a run goes on there already.
    """
    job = Job(folder)
    if (folder / JOB).is_file() and job.state == "running":
        raise JobError(f"a run goes on in {folder} already; Job.attach({str(folder)!r}).stop() ends it")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXIT).unlink(missing_ok=True)
    started = time.time()
    command = ["/bin/sh", "-c", _SUPERVISE, "sh", str(folder / EXIT), *launcher, *script]
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    born = psutil.Process(process.pid).create_time()
    job._write_about(
        {"pid": process.pid, "born": born, "started": started, "script": script[0], "stopping": False}
    )
    _UNREAPED.append(process)
    return job


# kept, so that Python neither warns about processes that go on nor leaves zombies behind
_UNREAPED: list[subprocess.Popen] = []


def clock_text(seconds: float) -> str:
    """Minutes and seconds, as a person reads them: 83 is 1:23."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def _postfix(progress: JobProgress) -> str:
    if progress.loss is None:
        return ""
    eta = "" if progress.eta is None else f", {clock_text(progress.eta)} to go"
    return f"loss {progress.loss:.4f}{eta}"


def _script_of(process: psutil.Process | None) -> str | None:
    """The Python file that a process runs, None for another kind of process."""
    try:
        arguments = process.cmdline()[1:] if process else []
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None
    return next((argument for argument in arguments if not argument.startswith("-")), None)

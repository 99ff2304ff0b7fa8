"""A training run as it happens: one picture of its loss, redrawn now and then."""

import io
import time
from threading import Thread

import ipywidgets as w
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from horsekit.jobs import Job
from horsekit.widgets import cards
from horsekit.widgets.style import STYLE

RAW, SMOOTH = "#d8b9ab", "#d2603a"


class Live(w.VBox):
    """The loss of a run, its step and its time to go, until it ends; Stop ends it with a checkpoint.

    every: seconds between looks at the log; nothing is redrawn while nothing was logged.
    """

    def __init__(self, job: Job, every: float = 2.0) -> None:
        self.job, self._drawn = job, -1
        self.status, self.message = w.HTML(), w.HTML()
        self.progress = w.IntProgress(0, 0, 1)
        self.curve = w.Image(format="png")
        self.stop = w.Button(description="Stop", icon="stop", tooltip="Write a checkpoint and end the run")
        self.stop.on_click(lambda _: self._ask_to_stop())
        bar = w.HBox([self.progress, self.status, self.stop]).add_class("hk-progress")
        super().__init__([w.HTML(STYLE), self.curve, bar, self.message])
        self.add_class("horsekit").add_class("hk-live")
        self.redraw()
        Thread(target=self._watch, args=(every,), daemon=True).start()

    def redraw(self) -> bool:
        """Look at the log once; False when the run has ended."""
        progress = self.job.progress()
        self.progress.max, self.progress.value = progress.total or max(1, progress.step), progress.step
        self.status.value = str(progress)
        if progress.step != self._drawn:
            self._drawn = progress.step
            points = [(r["step"], r["loss"]) for r in self.job.records() if "loss" in r]
            self.curve.value = loss_curve(points, self.job.folder.name)
        if progress.state == "failed":
            self.message.value = cards.message(self.job.failure(), "error")
        if progress.state != "running":
            styles = {"finished": "success", "stopped": "warning", "failed": "danger"}
            self.progress.bar_style, self.stop.disabled = styles[progress.state], True
        return progress.state == "running"

    def _watch(self, every: float) -> None:
        while self.redraw():
            time.sleep(every)

    def _ask_to_stop(self) -> None:
        self.stop.disabled, self.status.value = True, "writing a checkpoint"
        Thread(target=self.job.stop, daemon=True).start()

    def _repr_mimebundle_(self, **kwargs: object) -> dict:
        picture = f'<img alt="loss" src="{cards.data_uri(self.curve.value, "image/png")}">'
        return {**super()._repr_mimebundle_(**kwargs), "text/html": f"{picture}<p>{self.status.value}</p>"}


def smoothed(values: list[float], weight: float = 0.8) -> list[float]:
    """An exponential mean that is fair from the first value on."""
    out, mean = [], 0.0
    for count, value in enumerate(values, start=1):
        mean = weight * mean + (1 - weight) * value
        out.append(mean / (1 - weight**count))
    return out


def loss_curve(points: list[tuple[int, float]], name: str) -> bytes:
    """PNG of the loss over the steps, as logged and smoothed."""
    figure = Figure(figsize=(6.4, 2.4), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if points:
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=RAW, linewidth=1)
        axes.plot(steps, smoothed(list(losses)), color=SMOOTH, linewidth=2)
    axes.set(xlabel="step", ylabel="loss")
    axes.set_title(name, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

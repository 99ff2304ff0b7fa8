"""The studio: a prompt and reference pictures in, and the clip that comes into being, heard and measured."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from threading import Event, Thread

import ipywidgets as w

from horsekit.adapters.references import References, open_references
from horsekit.doctor import doubts
from horsekit.flow import Guidance
from horsekit.jobs import clock_text
from horsekit.media import Clip, Picture
from horsekit.pipeline import IDLE, Pipeline, Progress
from horsekit.widgets import cards
from horsekit.widgets.measures import measure
from horsekit.widgets.pickers import camera_picker, light_picker
from horsekit.widgets.style import STYLE
from horsekit.widgets.uploads import Uploads

PREVIEWS = 8
SECONDS_BETWEEN_PREVIEWS = 0.7
SHOWN_TAKES = 8
BLANK = '<div class="hk-screen hk-blank">Your clip appears here</div>'
STEP = 0.16  # seconds that one video latent lasts

Measures = Callable[[Clip, Sequence[Sequence[Picture]]], list[cards.Measure]]


class Stopped(Exception):
    """Raised in the sampler's callback when Stop was pressed."""


GUIDANCE = {"text": "Prompt", "direction": "Camera, light", "reference": "Pictures", "sync": "Lips"}


@dataclass(eq=False)
class Take:
    """One clip of the session with all that made it."""

    prompt: str
    references: list[list[Picture]]
    seconds: float
    seed: int
    steps: int
    guidance: Guidance
    clip: Clip | None = None
    measures: list[cards.Measure] = field(default_factory=list)


class Studio(w.VBox):
    """Make clips with a pipeline from a notebook.

    references: the pictures to begin with, as `Pipeline.generate` takes them. `takes` holds every clip made,
    newest last; `wait()` blocks until the one being made is done. Nothing that was typed is lost to an error.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        prompt: str = "",
        references: References = (),
        seconds: float = 1.28,
        seed: int = 0,
        measure: Measures = measure,
    ) -> None:
        self.pipeline, self.takes, self._measure = pipeline, [], measure
        self._thread, self._stop = None, Event()
        settings = pipeline.settings
        self.prompt = w.Textarea(
            prompt, placeholder="[Image 1] smiles and says: “Hello!” The camera pushes in slowly.", rows=5
        )
        self.camera, self.light = camera_picker(self.prompt), light_picker(self.prompt)
        self.understood = w.HTML()
        self.prompt.observe(lambda _: self._understand(), "value")
        self._understand()
        self.references = Uploads(self._complain, open_references(references))
        self.seconds = _slider(w.FloatSlider, "Seconds", seconds, 2 * STEP, settings.max_seconds, STEP, ".2f")
        self.steps = _slider(w.IntSlider, "Steps", settings.steps, 2, 60, 1, "d")
        self.guidance = {
            name: _slider(w.FloatSlider, label, settings.guidance.strength(name), 0, 10, 0.5, ".1f")
            for name, label in GUIDANCE.items()
        }
        self.seed = w.IntText(seed, description="Seed")
        self.dice = w.Button(icon="random", tooltip="Another seed")
        self.generate = w.Button(description="Generate", icon="play", button_style="primary")
        self.stop = w.Button(description="Stop", icon="stop", disabled=True)
        self.progress = w.IntProgress(0, 0, 1)
        self.status, self.message = w.HTML(), w.HTML()
        self.screen, self.beside, self.history = w.HTML(), w.HTML().add_class("hk-beside"), w.HBox()
        self.dice.on_click(lambda _: setattr(self.seed, "value", random.randrange(100_000)))
        self.generate.on_click(lambda _: self._begin())
        self.stop.on_click(lambda _: self._ask_to_stop())
        super().__init__([w.HTML(STYLE), w.HBox([self._form(), self._result()]).add_class("hk-columns")])
        self.add_class("horsekit")
        self.screen.value = BLANK

    @property
    def running(self) -> bool:
        """Whether a clip is being made."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> None:
        """Block until the clip that is being made is done, at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _form(self) -> w.VBox:
        return w.VBox(
            [
                _heading("Prompt"),
                self.prompt,
                self.camera,
                self.light,
                self.understood,
                _heading("Characters"),
                self.references,
                _heading("Take"),
                self.seconds,
                w.HBox([self.seed, self.dice]).add_class("hk-seed"),
                w.Accordion(
                    [w.VBox([self.steps, *self.guidance.values()])],
                    titles=("Quality and guidance",),
                    selected_index=None,
                ),
                w.HBox([self.generate, self.stop]).add_class("hk-buttons"),
                self.message,
            ]
        ).add_class("hk-form")

    def _result(self) -> w.VBox:
        bar = w.HBox([self.progress, self.status]).add_class("hk-progress")
        shown = w.HBox([w.VBox([self.screen, bar]), self.beside]).add_class("hk-shown")
        return w.VBox([shown, self.history.add_class("hk-history")]).add_class("hk-result")

    def _understand(self) -> None:
        self.understood.value = cards.understood(self.prompt.value)

    def _complain(self, text: str) -> None:
        self.message.value = cards.message(text, "error")

    def _begin(self) -> None:
        if self.running:
            return
        take = Take(
            self.prompt.value,
            self.references.pictures,
            self.seconds.value,
            self.seed.value,
            self.steps.value,
            replace(
                self.pipeline.settings.guidance,
                **{name: slider.value for name, slider in self.guidance.items()},
            ),
        )
        self._complain("")
        self._show_beside(take)
        self._stop.clear()
        self.generate.disabled, self.stop.disabled = True, False
        self.progress.value, self.progress.max, self.progress.bar_style = 0, take.steps, "info"
        self.status.value = "reading the prompt and pictures"
        self._began = self._previewed = time.monotonic()
        self._thread = Thread(target=self._make, args=(take,), daemon=True)
        self._thread.start()

    def _ask_to_stop(self) -> None:
        self._stop.set()
        self.stop.disabled, self.status.value = True, "stopping after this step"

    def _make(self, take: Take) -> None:
        """Runs beside the kernel's own thread, so that Stop is heard."""
        try:
            self.message.value = cards.message(" ".join(f"{doubt}." for doubt in self._doubts(take)))
            take.clip = self.pipeline.generate(
                take.prompt,
                take.references,
                take.seconds,
                take.seed,
                steps=take.steps,
                guidance=take.guidance,
                callback=self._on_step,
            )
            self._keep(take)
        except Stopped:
            self.progress.bar_style, self.status.value = "warning", "stopped"
            self._show_last()
        except Exception as error:
            known = isinstance(error, ValueError)
            self._complain(str(error) if known else f"{type(error).__name__}: {error}")
            self.progress.bar_style, self.status.value = "danger", "not made"
            self._show_last()
        finally:
            self.generate.disabled, self.stop.disabled = False, True

    def _doubts(self, take: Take) -> list[str]:
        """What may come out otherwise than was meant."""
        found = doubts(take.references) if self.pipeline.settings.rendered else []
        return [*found, IDLE] if self.pipeline.idle(bool(take.references)) else found

    def _on_step(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped
        done, now = progress.index + 1, time.monotonic()
        self.progress.value = done
        to_go = (now - self._began) / done * (progress.total - done)
        self.status.value = f"step {done} of {progress.total}, {clock_text(to_go)} to go"
        due = (
            done % max(1, progress.total // PREVIEWS) == 0
            and now - self._previewed > SECONDS_BETWEEN_PREVIEWS
        )
        if due and done < progress.total:
            self.screen.value = cards.moving_picture(progress.preview())
            self._previewed = time.monotonic()

    def _keep(self, take: Take) -> None:
        took = time.monotonic() - self._began
        self.takes.append(take)
        self.progress.bar_style = "success"
        self.status.value = f"seed {take.seed}, made in {took:.1f} s; measuring"
        self._show(take)
        take.measures = self._measure(take.clip, take.references)
        self._show_beside(take)
        self.status.value = f"seed {take.seed}, made in {took:.1f} s"

    def _show_last(self) -> None:
        """The clip before one that was not made; what was denoised of that one half is gone."""
        if self.takes:
            self._show(self.takes[-1])
        else:
            self.screen.value, self.beside.value = BLANK, ""

    def _show(self, take: Take) -> None:
        self.screen.value = cards.video(take.clip)
        self._show_beside(take)
        self.history.children = [self._memory(t, t is take) for t in reversed(self.takes[-SHOWN_TAKES:])]

    def _show_beside(self, take: Take) -> None:
        self.beside.value = cards.references(take.references) + cards.measures(take.measures)

    def _memory(self, take: Take, current: bool) -> w.VBox:
        """A past clip: its middle frame, and a button that brings it back with its settings."""
        picture = take.clip.picture(len(take.clip.frames) // 2)
        button = w.Button(
            description=f"seed {take.seed}", tooltip=f"Show this clip and its settings: {take.prompt}"
        )
        button.on_click(lambda _: self._recall(take))
        return w.VBox([w.HTML(cards.thumbnail(picture)), button]).add_class(
            "hk-current" if current else "hk-past"
        )

    def _recall(self, take: Take) -> None:
        if self.running:
            return
        self.prompt.value, self.seconds.value, self.seed.value = take.prompt, take.seconds, take.seed
        self.steps.value, self.references.pictures = take.steps, take.references
        for name, slider in self.guidance.items():
            slider.value = take.guidance.strength(name)
        self.progress.value, self.status.value = self.progress.max, f"seed {take.seed}"
        self._show(take)

    def _repr_mimebundle_(self, **kwargs: object) -> dict:
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/html": self.static_html()}

    def static_html(self) -> str:
        """What a viewer without widgets shows: the last clip and what made it."""
        if not self.takes:
            return "<p>Run this cell in JupyterLab to open the studio.</p>"
        take = self.takes[-1]
        about = f"<p>{escape(take.prompt)}<br>seed {take.seed}, {take.seconds:.2f} s, {take.steps} steps</p>"
        return (
            take.clip._repr_html_()
            + about
            + cards.references(take.references)
            + cards.measures(take.measures)
        )


def _slider(
    kind: type, label: str, value: float, low: float, high: float, step: float, form: str
) -> w.Widget:
    return kind(
        value, min=low, max=high, step=step, description=label, readout_format=form, continuous_update=False
    )


def _heading(text: str) -> w.HTML:
    return w.HTML(f"<h4>{escape(text)}</h4>")

"""Reference pictures, uploaded character by character."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as w
import traitlets

from horsekit.adapters.references import MAX_SLOTS
from horsekit.media import MediaError, Picture
from horsekit.widgets import cards


def picture_of(name: str, content: bytes) -> Picture:
    """The picture in an uploaded file. Errors: MediaError that calls it by the name it was uploaded under."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        try:
            return Picture.open(path)
        except MediaError as error:
            raise MediaError(str(error).replace(str(path), name)) from error


class Slot(w.HBox):
    """The pictures of one character, as a tuple; `complain` is told of files that cannot be read."""

    pictures = traitlets.Tuple()

    def __init__(
        self, number: int, complain: Callable[[str], None], pictures: Sequence[Picture] = ()
    ) -> None:
        self.number, self._complain = number, complain
        self.upload = w.FileUpload(accept="image/*", multiple=True, description="Add pictures", icon="plus")
        # the button counts the files of its last upload, which says nothing here: the style writes it anew
        self.upload.add_class("hk-upload")
        self.clear = w.Button(
            description="Clear", icon="times", tooltip=f"Remove all pictures of [Image {number}]"
        )
        self._shown = w.HTML()
        super().__init__([self._shown, w.VBox([self.upload, self.clear])])
        self.add_class("hk-slot")
        self.observe(self._show, "pictures")
        self.upload.observe(self._take, "value")
        self.clear.on_click(lambda _: setattr(self, "pictures", ()))
        self.pictures = tuple(pictures)
        self._show()

    def _take(self, change: dict) -> None:
        if not change["new"]:
            return
        taken, complaints = [], []
        for file in change["new"]:
            try:
                taken.append(picture_of(file["name"], bytes(file["content"])))
            except MediaError as error:
                complaints.append(str(error))
        self.pictures += tuple(taken)
        self.upload.value = ()
        self._complain("\n".join(complaints))

    def _show(self, change: object = None) -> None:
        name = f"[Image {self.number}]"
        body = "".join(map(cards.thumbnail, self.pictures)) or '<span class="hk-empty">no picture yet</span>'
        self._shown.value = f'<div class="hk-pictures"><b>{name}</b><div>{body}</div></div>'
        self.clear.layout.visibility = "visible" if self.pictures else "hidden"


class Uploads(w.VBox):
    """One slot per character, one shown at first; `pictures` lists them in the order of their mentions."""

    def __init__(self, complain: Callable[[str], None], references: Sequence[Sequence[Picture]] = ()) -> None:
        given = [*references, *[()] * (MAX_SLOTS - len(references))]
        self.slots = [Slot(number, complain, pictures) for number, pictures in enumerate(given, start=1)]
        self.add = w.Button(description="Another character", icon="user-plus").add_class("hk-more")
        self.add.on_click(lambda _: self._reveal(self._revealed + 1))
        super().__init__()
        self._reveal(max(1, len(references)))

    @property
    def pictures(self) -> list[list[Picture]]:
        """Pictures by character, without the empty slots after the last one that is filled."""
        every = [list(slot.pictures) for slot in self.slots]
        while every and not every[-1]:
            every.pop()
        return every

    @pictures.setter
    def pictures(self, references: Sequence[Sequence[Picture]]) -> None:
        for number, slot in enumerate(self.slots):
            slot.pictures = tuple(references[number]) if number < len(references) else ()
        self._reveal(max(self._revealed, len(references)))

    def _reveal(self, count: int) -> None:
        self._revealed = count
        more = [self.add] if count < MAX_SLOTS else []
        self.children = [*self.slots[:count], *more]

"""Page that collects a calibration set: one image at a time, with all its classes.

Nothing is preselected and no predictions are shown, so that no suggestion biases the answers.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from partlabel.core.access_control import Guard
from partlabel.core.messages import some
from partlabel.review.events import Answer
from partlabel.review.pages import Pages, Photos, by_htmx
from partlabel.review.sheets import Photo, Sheets

ANSWERS: tuple[Answer, ...] = ("present", "absent", "skip")
NAMES_APART = 3
"""Number of unanswered classes that a message names."""


async def form_of(request: Request) -> dict[str, str]:
    """Parse the form: one field per class and a few more."""
    most = 100 + request.app.state.tags
    return {
        name: value for name, value in (await request.form(max_fields=most)).items() if isinstance(value, str)
    }


Form = Annotated[dict[str, str], Depends(form_of)]


def create(
    sheets: Sheets, guard: Guard, *, title: str, run: str, follow_links: bool = False, port: int = 0
) -> FastAPI:
    """Create the web application that collects a calibration set.

    Args:
        sheets: Calibration set.
        guard: Access control.
        title: Title of the page.
        run: Run folder as typed by the user, for the command on the last page.
        follow_links: Show images that symbolic links in the image folder point to outside it.
        port: Port, part of the cookie names.
    """
    answers = SheetPages(sheets, guard, Photos(sheets.table, follow_links), title, run, port)
    app = answers.app()
    app.state.tags = len(sheets.table.classes)
    app.get("/")(answers.page)
    app.post("/sheet")(answers.answer)
    app.post("/undo")(answers.undo)
    app.get("/progress")(answers.progress)
    return app


class SheetPages(Pages):
    """Handlers of all requests; arguments as for `create`.

    Args:
        sheets: Calibration set.
        guard: Access control.
        photos: Images of its table.
        title: Title of the page.
        run: Run folder as typed by the user.
        port: Port, part of the cookie names.
    """

    def __init__(self, sheets: Sheets, guard: Guard, photos: Photos, title: str, run: str, port: int) -> None:
        super().__init__(guard, photos, title, port)
        self.sheets, self.run = sheets, run
        sheets.readable = self._is_readable

    def page(self, request: Request) -> Response:
        """Return the full page, with an image."""
        desk, who = self.desk(request), self.who(request)
        if who is None:
            return self.with_desk(request, self.html("review_who.html", title=self.title, who=""), desk)
        if self.is_led_here(request):
            return self.welcome(request, desk, "/")
        return self._shown(request, desk, who, self.sheets.next(desk))

    def answer(self, request: Request, form: Form) -> Response:
        """Record all answers of an image, or replace it, and return the next one."""
        desk, who = self.desk(request), self.known(request)
        ask, row, what = form.get("ask", ""), form.get("row", ""), form.get("what", "complete")
        if (
            not 0 < len(ask) <= 64
            or not row.isascii()
            or not row.isdigit()
            or what not in ("complete", "skip")
        ):
            raise HTTPException(422, "the form is not a valid answer for a photo")
        photo = Photo(ask, int(row), "")
        try:
            if what == "skip":
                self.sheets.skip(desk, who, ask, photo.row)
            else:
                given = self._given(form)
                if lacking := [name for name in self.sheets.table.classes if name not in given]:
                    photo = photo._replace(image=self.sheets.table.images[photo.row])
                    return self._shown(request, desk, who, photo, _lacking(lacking), given)
                self.sheets.answer(desk, who, ask, photo.row, given)
        except (KeyError, IndexError) as error:
            raise HTTPException(404, "no such photo was drawn") from error
        return self._on(request, desk, who, self.sheets.next(desk))

    def undo(self, request: Request) -> Response:
        """Undo the last image of this browser, and show it again with its answers."""
        desk, who = self.desk(request), self.known(request)
        undone = self.sheets.undo(desk, who)
        if undone is None:
            return self._on(request, desk, who, self.sheets.next(desk), "There is nothing to undo.")
        sheet, photo = undone
        if not by_htmx(request):
            return self._on(request, desk, who, photo)
        return self._shown(
            request, desk, who, photo or self.sheets.next(desk), "Undone.", self.sheets.given(sheet)
        )

    def progress(self, request: Request) -> Response:
        """Return the progress of the whole calibration set."""
        return self.html(
            "sheet_progress.html", progress=self.sheets.progress(), who=self.who(request), alone=False
        )

    def _on(self, request: Request, desk: str, who: str, photo: Photo | None, word: str = "") -> Response:
        """Return the next image; without scripts, redirect to the full page."""
        if not by_htmx(request):
            return self.with_desk(request, RedirectResponse("/", 303), desk)
        return self._shown(request, desk, who, photo, word)

    def _shown(
        self,
        request: Request,
        desk: str,
        who: str,
        photo: Photo | None,
        word: str = "",
        given: Mapping[str, str] | None = None,
    ) -> Response:
        """Render the image: as part of the full page, or alone if htmx requested it."""
        last = self.sheets.decisions.last_sheet(desk)
        parts: dict[str, Any] = {
            "title": self.title, "run": self.run, "who": who, "photo": photo, "word": word, "given": given or {},
            "progress": self.sheets.progress(), "classes": self.sheets.table.classes, "last": last,
        }  # fmt: skip
        alone = by_htmx(request)
        response = self.html("sheet_photo.html" if alone else "sheet.html", alone=alone, **parts)
        return self.with_desk(request, response, desk)

    def _given(self, form: Mapping[str, str]) -> dict[str, Answer]:
        """Read the answers of a form, by class."""
        return {
            name: answer
            for column, name in enumerate(self.sheets.table.classes)
            for answer in ANSWERS
            if form.get(f"t{column}") == answer
        }

    def _is_readable(self, row: int) -> bool:
        try:
            return self.image(row, 64) is not None
        except HTTPException:
            return False


def _lacking(names: list[str]) -> str:
    """Name the classes without an answer."""
    return f"Not saved yet, no answer for: {some(names, NAMES_APART)}."

"""Web pages of `grid.py`: one class and many photos, all answers confirmed by one request."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

from partlabel.core.access_control import Guard
from partlabel.review.app import Answers, InForm
from partlabel.review.events import Answer
from partlabel.review.grid import Grids, PhotoPage
from partlabel.review.page_forms import number, wish_of
from partlabel.review.page_size import MOST
from partlabel.review.pages import Photos, by_htmx
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.session import Session
from partlabel.review.sheet_pages import ANSWERS, Form


def create(
    session: Session,
    guard: Guard,
    *,
    size: int,
    title: str,
    wish: Wish = ANYTHING,
    blind: bool = False,
    follow_links: bool = False,
    sees: bool = False,
    port: int = 0,
) -> FastAPI:
    """Create the web application of a review by pages of photos.

    Args:
        session: Review session.
        guard: Access control.
        size: Number of photos on a page.
        title: Title of the review.
        wish: Default filter of questions.
        blind: Hide the model's predictions: no answer is set before a person sets it.
        follow_links: Show images that symbolic links in the image folder point to outside it.
        sees: Whether the head has attention maps.
        port: Port, part of the cookie names.
    """
    photos = Photos(session.table, follow_links)
    answers = GridPages(session, guard, photos, title, wish, blind, sees and not blind, port, size)
    app = answers.app()
    app.state.tags = MOST
    app.get("/")(answers.page)
    app.post("/page")(answers.confirm)
    app.post("/undo")(answers.undo)
    app.get("/question")(answers.ask_again)
    app.get("/progress")(answers.progress)
    app.get("/attention/{row}/{column}")(answers.attention)
    return app


class GridPages(Answers):
    """Handlers of all requests; arguments as for `create`.

    Args:
        session: Review session.
        guard: Access control.
        photos: Images of its table.
        title: Title of the review.
        wish: Default filter of questions.
        blind: Whether predictions are hidden.
        sees: Whether there are attention maps to show.
        port: Port, part of the cookie names.
        size: Number of photos on a page.
    """

    def __init__(
        self,
        session: Session,
        guard: Guard,
        photos: Photos,
        title: str,
        wish: Wish,
        blind: bool,
        sees: bool,
        port: int,
        size: int,
    ) -> None:
        super().__init__(session, guard, photos, title, wish, blind, sees, port)
        self.grids = Grids(session, size)

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> PhotoPage | None:
        """Return the page of a desk; None if nothing is left."""
        return self.grids.next(desk, who, wish, skip_current)

    def confirm(self, request: Request, form: Form) -> Response:
        """Record all answers of a page, and return the next page."""
        desk, who, wish = self.desk(request), self.known(request), wish_of(self, form)
        ask, column = form.get("ask", ""), number(form.get("column", ""))
        if not 0 < len(ask) <= 64:
            raise HTTPException(422, "the form is not a valid answer for a page of photos")
        given = _given(form)
        try:
            self.grids.confirm(desk, who, ask, column, given, hidden=self.blind)
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        if not by_htmx(request):
            return self.back(request, desk, wish)
        return self.shown(request, desk, who, wish, self.next(desk, who, wish))

    def undo(self, request: Request, asked: InForm) -> Response:
        """Undo the last page of this browser, and show its photos again with their answers."""
        desk, who, wish = self.desk(request), self.known(request), self.wish(asked)
        before = self.grids.last_words(desk)
        grid, given = self.grids.undo(desk, who)
        if not by_htmx(request):
            return self.back(request, desk, wish)
        word = "Undone." if before else "There is nothing to undo."
        return self.shown(request, desk, who, wish, grid or self.next(desk, who, wish), word, given)

    def shown(
        self,
        request: Request,
        desk: str,
        who: str,
        wish: Wish,
        question: PhotoPage | None,
        word: str = "",
        given: Mapping[int, str] | None = None,
    ) -> Response:
        """Render the photos: as part of the full page, or alone if htmx requested them."""
        parts: dict[str, Any] = {
            "grid": question, "word": word, "given": given or {}, "last": self.grids.last_words(desk),
        }  # fmt: skip
        return self.rendered(request, desk, who, wish, ("grid.html", "grid_photos.html"), parts)


def _given(form: Mapping[str, str]) -> dict[int, Answer]:
    """Read the answers of a form, by row.

    Raises:
        HTTPException: A photo of the page has no answer.
    """
    rows = [number(text) for text in form.get("rows", "").split(",")]
    given = {row: answer for row in rows for answer in ANSWERS if form.get(f"p{row}") == answer}
    if len(given) < len(rows):
        raise HTTPException(
            422, f"{len(rows) - len(given)} of {len(rows)} photos have no answer; nothing is saved"
        )
    return given

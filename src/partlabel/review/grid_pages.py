"""Web pages of `grid.py`: one class and many photos, all answers confirmed by one request."""

from collections.abc import Mapping

from fastapi import FastAPI, HTTPException

from partlabel.core.access_control import Guard
from partlabel.review.events import Answer
from partlabel.review.grid import Grids
from partlabel.review.page_size import MOST
from partlabel.review.pages import Photos
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.session import Session
from partlabel.review.sheet_pages import ANSWERS
from partlabel.review.together_pages import TogetherPages, number


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
    answers = GridPages(
        Grids(session, size), session, guard, photos, title, wish, blind, sees and not blind, port
    )
    app = answers.app()
    app.state.tags = MOST
    app.get("/")(answers.page)
    app.post("/page")(answers.confirm)
    app.post("/undo")(answers.undo)
    app.get("/question")(answers.ask_again)
    app.get("/progress")(answers.progress)
    app.get("/attention/{row}/{column}")(answers.attention)
    return app


class GridPages(TogetherPages):
    """Handlers of all requests; arguments as for `TogetherPages`."""

    called = "page of photos"
    templates = ("grid.html", "grid_photos.html")
    together: Grids

    def record(self, desk: str, who: str, ask: str, form: Mapping[str, str]) -> None:
        """Record the answers about the photos of a page."""
        column = number(form.get("column", ""))
        self.together.confirm(desk, who, ask, column, _given(form), hidden=self.blind)


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

"""Web page of `photo_tags.py`: one photo and all its unknown labels, saved by one request."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

from partlabel.core.access_control import Guard
from partlabel.review.app import Answers, InForm
from partlabel.review.events import Answer
from partlabel.review.page_forms import number, wish_of
from partlabel.review.pages import Photos, by_htmx
from partlabel.review.photo_tags import PhotoTags, TagPage
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.session import Session
from partlabel.review.sheet_pages import ANSWERS, Form


def create(
    session: Session,
    guard: Guard,
    *,
    title: str,
    wish: Wish = ANYTHING,
    blind: bool = False,
    follow_links: bool = False,
    sees: bool = False,
    port: int = 0,
) -> FastAPI:
    """Create the web application of a review by photos with all their tags; arguments as for `app.create`."""
    photos = Photos(session.table, follow_links)
    answers = TagPages(session, guard, photos, title, wish, blind, sees and not blind, port)
    app = answers.app()
    app.state.tags = len(session.table.classes)
    app.get("/")(answers.page)
    app.post("/tags")(answers.confirm)
    app.post("/undo")(answers.undo)
    app.get("/question")(answers.ask_again)
    app.get("/progress")(answers.progress)
    return app


class TagPages(Answers):
    """Handlers of all requests; arguments as for `app.create`.

    Args:
        session: Review session.
        guard: Access control.
        photos: Images of its table.
        title: Title of the review.
        wish: Default filter of questions.
        blind: Whether predictions are hidden.
        sees: Whether there are attention maps to show.
        port: Port, part of the cookie names.
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
    ) -> None:
        super().__init__(session, guard, photos, title, wish, blind, sees, port)
        self.tags = PhotoTags(session, blind)

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> TagPage | None:
        """Return the photo of a desk; None if nothing is left."""
        return self.tags.next(desk, who, wish, skip_current)

    def confirm(self, request: Request, form: Form) -> Response:
        """Record the answers about a photo, and return the next one."""
        desk, who, wish = self.desk(request), self.known(request), wish_of(self, form)
        ask, row = form.get("ask", ""), number(form.get("row", ""))
        if not 0 < len(ask) <= 64:
            raise HTTPException(422, "the form is not a valid answer for a photo")
        try:
            self.tags.confirm(desk, who, ask, row, self._given(form))
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        if not by_htmx(request):
            return self.back(request, desk, wish)
        return self.shown(request, desk, who, wish, self.next(desk, who, wish))

    def undo(self, request: Request, asked: InForm) -> Response:
        """Undo the last photo of this browser, and show it again with its answers."""
        desk, who, wish = self.desk(request), self.known(request), self.wish(asked)
        before = self.tags.last_words(desk)
        photo, given = self.tags.undo(desk, who)
        if not by_htmx(request):
            return self.back(request, desk, wish)
        word = "Undone." if before else "There is nothing to undo."
        return self.shown(request, desk, who, wish, photo or self.next(desk, who, wish), word, given)

    def shown(
        self,
        request: Request,
        desk: str,
        who: str,
        wish: Wish,
        question: TagPage | None,
        word: str = "",
        given: Mapping[int, str] | None = None,
    ) -> Response:
        """Render the photo: as part of the full page, or alone if htmx requested it."""
        parts: dict[str, Any] = {
            "photo": question, "word": word, "given": given or {}, "again": bool(given),
            "last": self.tags.last_words(desk),
        }  # fmt: skip
        return self.rendered(request, desk, who, wish, ("tags.html", "tags_photo.html"), parts)

    def _given(self, form: Mapping[str, str]) -> dict[int, Answer]:
        """Read the answers of a form, by column."""
        columns = range(len(self.session.table.classes))
        return {
            column: answer for column in columns for answer in ANSWERS if form.get(f"t{column}") == answer
        }

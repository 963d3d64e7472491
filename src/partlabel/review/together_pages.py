"""Web pages on which several labels are answered together: what pages of photos and of tags share."""

from collections.abc import Mapping
from typing import Any, ClassVar

from fastapi import HTTPException, Request, Response
from pydantic import ValidationError

from partlabel.core.access_control import Guard
from partlabel.review.app import Answers, InForm, QuestionRequest
from partlabel.review.grid import Grids
from partlabel.review.pages import Photos, by_htmx
from partlabel.review.photo_tags import PhotoTags
from partlabel.review.questions import Wish
from partlabel.review.session import Session
from partlabel.review.sheet_pages import Form

MOST_CHARACTERS = 64
"""Maximum length of the id of a page."""


class TogetherPages(Answers):
    """Handlers of all requests; arguments as for `app.create`.

    Args:
        together: What is asked, and where answers go.
        session: Review session.
        guard: Access control.
        photos: Images of its table.
        title: Title of the review.
        wish: Default filter of questions.
        blind: Whether predictions are hidden.
        sees: Whether there are attention maps to show.
        port: Port, part of the cookie names.
    """

    called: ClassVar[str]
    """What is confirmed at once, for messages."""
    templates: ClassVar[tuple[str, str]]
    """Template of the full page, and of its changing part."""

    def __init__(
        self,
        together: Grids | PhotoTags,
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
        self.together = together

    def record(self, desk: str, who: str, ask: str, form: Mapping[str, str]) -> None:
        """Record the answers of a form, all or none.

        Raises:
            KeyError: There is no such unknown label.
            ValueError: There are no answers, or too many.
        """
        raise NotImplementedError

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> Any:
        """Return what a desk is asked; None if nothing is left."""
        return self.together.next(desk, who, wish, skip_current)

    def confirm(self, request: Request, form: Form) -> Response:
        """Record all answers of a page, and return the next page."""
        desk, who, wish = self.desk(request), self.known(request), self._wish_of(form)
        ask = form.get("ask", "")
        if not 0 < len(ask) <= MOST_CHARACTERS:
            raise HTTPException(422, f"the form is not a valid answer for a {self.called}")
        try:
            self.record(desk, who, ask, form)
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        if not by_htmx(request):
            return self.back(request, desk, wish)
        return self.shown(request, desk, who, wish, self.next(desk, who, wish))

    def undo(self, request: Request, asked: InForm) -> Response:
        """Undo the last page of this browser, and show it again with its answers."""
        desk, who, wish = self.desk(request), self.known(request), self.wish(asked)
        before = self.together.last_words(desk)
        page, given = self.together.undo(desk, who)
        if not by_htmx(request):
            return self.back(request, desk, wish)
        word = "Undone." if before else "There is nothing to undo."
        return self.shown(request, desk, who, wish, page or self.next(desk, who, wish), word, given)

    def shown(
        self,
        request: Request,
        desk: str,
        who: str,
        wish: Wish,
        question: Any,
        word: str = "",
        given: Mapping[Any, str] | None = None,
    ) -> Response:
        """Render what is asked: as part of the full page, or alone if htmx requested it."""
        last = self.together.last_words(desk)
        parts = {"page": question, "word": word, "given": given or {}, "again": bool(given), "last": last}
        return self.rendered(request, desk, who, wish, self.templates, parts)

    def _wish_of(self, form: Mapping[str, str]) -> Wish:
        """Read the filter of questions from a form.

        Raises:
            HTTPException: It is not valid.
        """
        try:
            return self.wish(QuestionRequest.model_validate(dict(form)))
        except ValidationError as error:
            raise HTTPException(422, "the form has no valid filter of questions") from error


def number(text: str) -> int:
    """Parse a number of a row or column; -1 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1

"""Review page, one label at a time: FastAPI and templates, with htmx for updates in place; no build step."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Form, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator, BaseModel, Field

from partlabel.core.access_control import Guard
from partlabel.reporting import thumbnails
from partlabel.review import orders
from partlabel.review.events import Answer
from partlabel.review.pages import LARGE, Pages, Photos, by_htmx, jpeg_response
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.reasons import why
from partlabel.review.session import Session

if TYPE_CHECKING:
    from partlabel.reporting.examples import Example

WORDS = {"present": "yes", "absent": "no", "skip": "skipped"}


class Gaze:
    """Cache of attention and pair probabilities, one image at a time.

    Args:
        look: Function that computes them for a row of the table.
        keep: Number of images in the cache.
    """

    def __init__(self, look: "Callable[[int], Example]", keep: int = 64) -> None:
        self.look, self.keep = look, keep
        self._kept: OrderedDict[int, Example] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, row: int) -> "Example":
        """Return attention and pair probabilities of an image."""
        with self._lock:
            if row not in self._kept:
                self._kept[row] = self.look(row)
                if len(self._kept) > self.keep:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(row)
            return self._kept[row]


def known_order(name: str) -> str:
    """Check that an order is one of the registry, since a request may not name a class by a dotted path.

    Raises:
        ValueError: There is no such order.
    """
    if name not in orders.names():
        raise ValueError(f"there is no order {name!r}; there are: {', '.join(orders.names())}")
    return name


class QuestionRequest(BaseModel):
    """Filter of questions in a request, in its address or its form; missing fields have the review's defaults."""

    order: Annotated[str, AfterValidator(known_order)] | None = None
    cls: str | None = Field(None, alias="class")
    low: float | None = Field(None, ge=0, le=100)
    high: float | None = Field(None, ge=0, le=100)
    skipped: bool = False


class Answered(QuestionRequest):
    """An answer, and the filter of the next question."""

    ask: str = Field(min_length=1, max_length=64)
    row: int
    column: int
    what: Answer


InAddress = Annotated[QuestionRequest, Query()]
InForm = Annotated[QuestionRequest, Form()]


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
    """Create the web application of a review.

    Args:
        session: Review session.
        guard: Access control.
        title: Title of the review.
        wish: Default filter of questions.
        blind: Hide the model's predictions, so that they cannot bias the answers.
        follow_links: Show images that symbolic links in the image folder point to outside it.
        sees: Whether the head has attention maps.
        port: Port, which is part of the cookie names because a browser shares cookies between all ports of a host.
    """
    photos = Photos(session.table, follow_links)
    answers = Answers(session, guard, photos, title, wish, blind, sees and not blind, port)
    app = answers.app()
    app.get("/")(answers.page)
    app.post("/answer")(answers.answer)
    app.post("/undo")(answers.undo)
    app.get("/question")(answers.ask_again)
    app.get("/progress")(answers.progress)
    app.get("/attention/{row}/{column}")(answers.attention)
    return app


class Answers(Pages):
    """Handlers of all requests of a review; arguments as for `create`.

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
        super().__init__(guard, photos, title, port)
        self.session = session
        self.usual = wish
        self.blind = blind
        self.sees = sees

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> Any:
        """Return what a desk is asked; None if nothing is left."""
        return self.session.next(desk, who, wish, skip_current)

    def page(self, request: Request, asked: InAddress) -> Response:
        """Return the full page, with a question."""
        desk, who, wish = self.desk(request), self.who(request), self.wish(asked)
        if who is None:
            return self.with_desk(request, self.html("review_who.html", title=self.title, who=""), desk)
        if self.is_led_here(request):
            return self.welcome(request, desk, f"/?{query_of(wish)}")
        return self.shown(request, desk, who, wish, self.next(desk, who, wish))

    def answer(self, request: Request, given: Annotated[Answered, Form()]) -> Response:
        """Record an answer, and return the next question."""
        desk, who, wish = self.desk(request), self.known(request), self.wish(given)
        try:
            self.session.answer(desk, who, given.ask, given.row, given.column, given.what, hidden=self.blind)
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        if not by_htmx(request):
            return self.back(request, desk, wish)
        return self.shown(request, desk, who, wish, self.next(desk, who, wish))

    def undo(self, request: Request, asked: InForm) -> Response:
        """Undo the last answer of this browser, and ask that question again."""
        desk, who, wish = self.desk(request), self.known(request), self.wish(asked)
        before = self.session.last(desk)
        question = self.session.undo(desk, who)
        if not by_htmx(request):
            return self.back(request, desk, wish)
        word = "Undone." if before is not None else "There is nothing to undo."
        question = question or self.next(desk, who, wish)
        return self.shown(request, desk, who, wish, question, word)

    def ask_again(self, request: Request, asked: InAddress) -> Response:
        """Return another question, for example after the filter has changed."""
        desk, who, wish = self.desk(request), self.known(request), self.wish(asked)
        if self.is_led_here(request):
            return self.welcome(request, desk, f"/?{query_of(wish)}")
        return self.shown(request, desk, who, wish, self.next(desk, who, wish, skip_current=True))

    def progress(self, request: Request, asked: InAddress) -> Response:
        """Return the progress of the whole review."""
        who = self.who(request) or ""
        progress = self.session.progress(who, self.wish(asked))
        return self.html("review_progress.html", progress=progress, who=who, alone=False)

    def attention(self, row: int, column: int) -> Response:
        """Return an image highlighted by the attention map of a class."""
        nothing = HTTPException(404, "no attention map is available")
        if self.blind or self.session.gaze is None or not 0 <= column < len(self.session.table.classes):
            raise nothing
        image, maps = self.image(row, LARGE), None
        with suppress(OSError):
            maps = None if image is None else self.session.gaze(row).attention
        if image is None or maps is None:
            raise nothing
        return jpeg_response(thumbnails.jpeg(thumbnails.lit(image, maps[column])))

    def shown(
        self, request: Request, desk: str, who: str, wish: Wish, question: Any, word: str = ""
    ) -> Response:
        """Render the question: as part of the full page, or alone if htmx requested it."""
        session, last = self.session, self.session.last(desk)
        parts = {
            "question": question, "word": word, "images": session.table.images,
            "why": None if question is None else why(session, question.row, question.column),
            "last": last, "last_word": None if last is None else WORDS[last.what],
        }  # fmt: skip
        return self.rendered(request, desk, who, wish, ("review.html", "review_question.html"), parts)

    def rendered(
        self, request: Request, desk: str, who: str, wish: Wish, pages: tuple[str, str], parts: dict[str, Any]
    ) -> Response:
        """Render a full page, or the part of it that htmx requested, with the filter and the progress."""
        session, alone = self.session, by_htmx(request)
        common: dict[str, Any] = {
            "title": self.title, "who": who, "wish": wish, "blind": self.blind, "sees": self.sees, "alone": alone,
            "progress": session.progress(who, wish), "classes": session.table.classes,
            "orders": {name: orders.get(name).title for name in orders.names()},
        }  # fmt: skip
        response = self.html(pages[1] if alone else pages[0], **common, **parts)
        if alone:
            response.headers["HX-Replace-Url"] = f"/?{query_of(wish)}"
        return self.with_desk(request, response, desk)

    def back(self, request: Request, desk: str, wish: Wish) -> Response:
        """Redirect to the full page, for browsers without scripts."""
        return self.with_desk(request, RedirectResponse(f"/?{query_of(wish)}", 303), desk)

    def wish(self, asked: QuestionRequest) -> Wish:
        """Return the filter of a request, with the defaults of the review."""
        usual = self.usual
        cls = usual.cls if asked.cls is None else asked.cls
        return Wish(
            asked.order or usual.order,
            cls if cls in self.session.table.classes else "",
            usual.low if asked.low is None else asked.low / 100,
            usual.high if asked.high is None else asked.high / 100,
            asked.skipped,
        )


def query_of(wish: Wish) -> str:
    """Encode a filter as a query string, so that reloading the page keeps it."""
    fields = {
        "order": wish.order,
        "class": wish.cls,
        "low": f"{100 * wish.low:g}",
        "high": f"{100 * wish.high:g}",
    }
    return urlencode(fields | ({"skipped": "true"} if wish.skipped else {}))

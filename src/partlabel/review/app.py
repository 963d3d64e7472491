"""The page on which people decide: FastAPI and templates, with htmx for what changes in place; no build step.

Photos are asked for by their row in the table, never by a path, and go out as JPEGs made anew. `guard.py` says who may
talk to the page.
"""

import getpass
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote, urlencode

import jinja2
from fastapi import FastAPI, Form, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from partlabel import pictures
from partlabel.review.decisions import Answer, new_name
from partlabel.review.guard import HEADERS, Guard, from_elsewhere
from partlabel.review.questions import ORDERS, Order
from partlabel.review.session import ANYTHING, Question, Session, Wish
from partlabel.templating import templates

if TYPE_CHECKING:
    from PIL.Image import Image

    from partlabel.report import Example

LARGE, SMALL = 960, 220
LONGEST_NAME = 60
YEAR = 365 * 24 * 3600
WORDS = {"present": "yes", "absent": "no", "skip": "skipped"}
ORDER_WORDS = {
    "uncertain": "Least certain",
    "surest": "Surest first",
    "class": "Classes in turn",
    "random": "At random",
}


class Gaze:
    """Attention and pairs of one image at a time; the last few are kept.

    Args:
        look: At a row of the table.
        keep: How many images.
    """

    def __init__(self, look: "Callable[[int], Example]", keep: int = 64) -> None:
        self.look, self.keep = look, keep
        self._kept: OrderedDict[int, Example] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, row: int) -> "Example":
        """What the method makes of an image."""
        with self._lock:
            if row not in self._kept:
                self._kept[row] = self.look(row)
                if len(self._kept) > self.keep:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(row)
            return self._kept[row]


class Photos:
    """The images of a table, by row, and none besides.

    Args:
        session: Whose table.
        follow_links: Show images that links in the image folder lead out of it to.
    """

    def __init__(self, session: Session, follow_links: bool = False) -> None:
        self.table, self.follow_links = session.table, follow_links
        self.root = Path(self.table.root or ".").resolve()

    def path(self, row: int) -> Path:
        """Where an image is.

        Raises:
            LookupError: There is no such row, or its file is not inside the image folder.
        """
        if not 0 <= row < len(self.table):
            raise LookupError(f"there is no row {row}")
        path = self.table.path(row)
        if not self.follow_links and not path.resolve().is_relative_to(self.root):
            raise LookupError(f"{self.table.images[row]} leads out of the image folder")
        return path


class Asked(BaseModel):
    """What a request wishes to be asked, in its address or its form; what it leaves out is as the review has it."""

    order: Order | None = None
    cls: str | None = Field(None, alias="class")
    low: float | None = Field(None, ge=0, le=100)
    high: float | None = Field(None, ge=0, le=100)
    skipped: bool = False


class Answered(Asked):
    """An answer, and what is wished for next."""

    ask: str = Field(min_length=1, max_length=64)
    row: int
    column: int
    what: Answer


InAddress = Annotated[Asked, Query()]
InForm = Annotated[Asked, Form()]


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
    """The page.

    Args:
        session: The review.
        guard: Who may talk to it.
        title: What the review is called.
        wish: What is asked where nobody wished for anything.
        blind: Keep what the model says to itself, so that it sways nobody.
        follow_links: Show images that links in the image folder lead out of it to.
        sees: Whether the head has attention to show.
        port: Names the cookies, for those of all ports of a machine are in one jar.
    """
    app = FastAPI(title="partlabel review", docs_url=None, redoc_url=None, openapi_url=None)
    answers = Answers(
        session, guard, Photos(session, follow_links), title, wish, blind, sees and not blind, port
    )
    app.middleware("http")(answers.checked)
    app.get("/")(answers.page)
    app.get("/who")(answers.ask_who)
    app.post("/who")(answers.set_who)
    app.post("/answer")(answers.answer)
    app.post("/undo")(answers.undo)
    app.get("/question")(answers.ask_again)
    app.get("/progress")(answers.progress)
    app.get("/photo/{row}")(answers.photo)
    app.get("/attention/{row}/{column}")(answers.attention)
    app.get("/static/report.css")(answers.colours)
    app.mount("/static", StaticFiles(packages=[("partlabel", "static")]))
    return app


class Answers:
    """What is answered to each request; arguments as `create`.

    Args:
        session: The review.
        guard: Who may talk to it.
        photos: Of its table.
        title: What it is called.
        wish: What is asked where nobody wished for anything.
        blind: Whether what the model says is kept back.
        sees: Whether there is attention to show.
        port: Names the cookies.
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
        self.session = session
        self.guard = guard
        self.photos = photos
        self.title = title
        self.usual = wish
        self.blind = blind
        self.sees = sees
        self.cookie = f"partlabel-{port}"
        self.default_name = None if guard.token is not None else _user()
        self.pages = templates()

    async def checked(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """Whatever is asked goes through the guard first."""
        offered = request.query_params.get("token")
        refused = self.guard.refusal(request.method, request.headers, request.cookies, offered)
        if refused is not None and self.guard.is_guess(request.cookies, offered):
            await self.guard.slow_down()
        response: Response
        if refused is not None:
            response = self._html("review_note.html", refused.status, note=refused.why)
        elif offered is not None and self.guard.token is not None and self.guard.admits(offered):
            # A page, not a redirect: a browser that comes by a link from elsewhere sends a strict cookie from here on.
            response = self._html("review_note.html", note=None, to="/")
            response.set_cookie(self.guard.cookie, offered, YEAR, httponly=True, samesite="strict")
        else:
            response = await answer(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def page(self, request: Request, asked: InAddress) -> Response:
        """The whole page, with a question."""
        desk, who, wish = self._desk(request), self._who(request), self._wish(asked)
        if who is None:
            return self._with_desk(request, self._html("review_who.html", title=self.title, who=""), desk)
        if self._is_led_here(request):
            return self._welcome(request, desk, wish)
        return self._shown(request, desk, who, wish, self.session.next(desk, who, wish))

    def ask_who(self, request: Request) -> Response:
        """Where people say who they are."""
        return self._html("review_who.html", title=self.title, who=self._who(request) or "")

    def set_who(
        self, request: Request, name: Annotated[str, Form(max_length=4 * LONGEST_NAME)] = ""
    ) -> Response:
        """They said it."""
        if not (found := _name(name)):
            return self._html("review_who.html", 400, title=self.title, who="")
        response = RedirectResponse("/", 303)
        response.set_cookie(f"{self.cookie}-who", quote(found), YEAR, httponly=True, samesite="lax")
        return self._with_desk(request, response, self._desk(request))

    def answer(self, request: Request, given: Annotated[Answered, Form()]) -> Response:
        """Keep an answer, and ask the next question."""
        desk, who, wish = self._desk(request), self._known(request), self._wish(given)
        try:
            self.session.answer(desk, who, given.ask, given.row, given.column, given.what, hidden=self.blind)
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        if not _by_htmx(request):
            return self._back(request, desk, wish)
        return self._shown(request, desk, who, wish, self.session.next(desk, who, wish))

    def undo(self, request: Request, asked: InForm) -> Response:
        """Take the last answer of this browser back, and ask that question again."""
        desk, who, wish = self._desk(request), self._known(request), self._wish(asked)
        before = self.session.last(desk)
        question = self.session.undo(desk, who)
        if not _by_htmx(request):
            return self._back(request, desk, wish)
        word = "Taken back." if before is not None else "There is nothing to take back."
        question = question or self.session.next(desk, who, wish)
        return self._shown(request, desk, who, wish, question, word)

    def ask_again(self, request: Request, asked: InAddress) -> Response:
        """Another question, as where the wish has changed."""
        desk, who, wish = self._desk(request), self._known(request), self._wish(asked)
        if self._is_led_here(request):
            return self._welcome(request, desk, wish)
        return self._shown(request, desk, who, wish, self.session.next(desk, who, wish, anew=True))

    def progress(self, request: Request, asked: InAddress) -> Response:
        """How far all are."""
        who = self._who(request) or ""
        progress = self.session.progress(who, self._wish(asked))
        return self._html("review_progress.html", progress=progress, who=who, alone=False)

    def photo(self, row: int, small: bool = False) -> Response:
        """An image of the table."""
        image = self._image(row, SMALL if small else LARGE)
        if image is None:
            raise HTTPException(404, f"{self.session.table.images[row]} cannot be read")
        return _jpeg(pictures.jpeg(image, 75 if small else 88))

    def attention(self, row: int, column: int) -> Response:
        """An image, lit where the head looks for a class."""
        nothing = HTTPException(404, "there is no attention to show")
        if self.blind or self.session.gaze is None or not 0 <= column < len(self.session.table.classes):
            raise nothing
        image, maps = self._image(row, LARGE), None
        with suppress(OSError):
            maps = None if image is None else self.session.gaze(row).attention
        if image is None or maps is None:
            raise nothing
        return _jpeg(pictures.jpeg(pictures.lit(image, maps[column])))

    def colours(self) -> Response:
        """Those of all pages of this package."""
        return Response(_render(self.pages, "report.css"), media_type="text/css")

    def _shown(
        self, request: Request, desk: str, who: str, wish: Wish, question: Question | None, word: str = ""
    ) -> Response:
        """The question: within the page, or alone where htmx asked for it."""
        session, last = self.session, self.session.last(desk)
        parts: dict[str, Any] = {
            "title": self.title, "who": who, "wish": wish, "question": question, "word": word, "blind": self.blind,
            "sees": self.sees, "progress": session.progress(who, wish), "images": session.table.images,
            "why": None if question is None else session.why(question.row, question.column),
            "last": last, "last_word": None if last is None else WORDS[last.what],
            "classes": session.table.classes, "orders": {order: ORDER_WORDS[order] for order in ORDERS},
        }  # fmt: skip
        alone = _by_htmx(request)
        response = self._html("review_question.html" if alone else "review.html", alone=alone, **parts)
        if alone:
            response.headers["HX-Replace-Url"] = f"/?{_query(wish)}"
        return self._with_desk(request, response, desk)

    def _is_led_here(self, request: Request) -> bool:
        """Whether another site opened this, in a browser that has no desk yet: nothing is leased for that."""
        return from_elsewhere(request.headers) and f"{self.cookie}-desk" not in request.cookies

    def _welcome(self, request: Request, desk: str, wish: Wish) -> Response:
        """A page that goes on to the question by itself, from here and with its desk."""
        to = f"/?{_query(wish)}"
        return self._with_desk(request, self._html("review_note.html", note=None, to=to), desk)

    def _back(self, request: Request, desk: str, wish: Wish) -> Response:
        """Without scripts: the whole page again."""
        return self._with_desk(request, RedirectResponse(f"/?{_query(wish)}", 303), desk)

    def _wish(self, asked: Asked) -> Wish:
        usual = self.usual
        cls = usual.cls if asked.cls is None else asked.cls
        return Wish(
            asked.order or usual.order,
            cls if cls in self.session.table.classes else "",
            usual.low if asked.low is None else asked.low / 100,
            usual.high if asked.high is None else asked.high / 100,
            asked.skipped,
        )

    def _image(self, row: int, side: int) -> "Image | None":
        try:
            return pictures.read_small(self.photos.path(row), side)
        except LookupError as error:
            raise HTTPException(404, str(error)) from error

    def _desk(self, request: Request) -> str:
        return request.cookies.get(f"{self.cookie}-desk", "")[:64] or new_name()

    def _with_desk(self, request: Request, response: Response, desk: str) -> Response:
        if request.cookies.get(f"{self.cookie}-desk") != desk:
            response.set_cookie(f"{self.cookie}-desk", desk, YEAR, httponly=True, samesite="lax")
        return response

    def _who(self, request: Request) -> str | None:
        return _name(unquote(request.cookies.get(f"{self.cookie}-who", ""))) or self.default_name

    def _known(self, request: Request) -> str:
        """Who asks, who must have said it."""
        who = self._who(request)
        if who is None:
            raise HTTPException(403, "say who you are first")
        return who

    def _html(self, name: str, status: int = 200, **shown: Any) -> Response:
        return HTMLResponse(_render(self.pages, name, **shown), status)


def _by_htmx(request: Request) -> bool:
    """Whether a script asks for what has changed, and not a browser for a page."""
    return request.headers.get("hx-request") == "true"


def _render(pages: jinja2.Environment, name: str, **shown: Any) -> str:
    return pages.get_template(name).render(shown)


def _jpeg(content: bytes) -> Response:
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def _query(wish: Wish) -> str:
    """A wish as the end of an address, so that reloading keeps it."""
    found = {
        "order": wish.order,
        "class": wish.cls,
        "low": f"{100 * wish.low:g}",
        "high": f"{100 * wish.high:g}",
    }
    return urlencode(found | ({"skipped": "true"} if wish.skipped else {}))


def _name(given: str) -> str:
    """A name as a person may have one; empty if it is none."""
    kept = "".join(letter for letter in given if letter.isprintable())
    return " ".join(kept.split())[:LONGEST_NAME]


def _user() -> str:
    """The name of who runs this."""
    try:
        return _name(getpass.getuser()) or "somebody"
    except (OSError, KeyError):
        return "somebody"

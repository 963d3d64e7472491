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
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from partlabel import pictures
from partlabel.review.decisions import Answer, new_name
from partlabel.review.guard import HEADERS, Guard
from partlabel.review.questions import ORDERS, Order
from partlabel.review.session import ANYTHING, Question, Session, Wish
from partlabel.templating import templates

if TYPE_CHECKING:
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
    pages = templates()
    photos = Photos(session, follow_links)
    cookie = f"partlabel-{port}"
    default_name = None if guard.token is not None else _user()

    @app.middleware("http")
    async def checked(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        offered = request.query_params.get("token")
        refused = guard.refusal(request.method, request.headers, request.cookies, offered)
        response: Response
        if refused is not None:
            response = HTMLResponse(_render(pages, "review_note.html", note=refused.why), refused.status)
        elif offered is not None and guard.token is not None and guard.admits(offered):
            # A page, not a redirect: a browser that comes by a link from elsewhere sends a strict cookie from here on.
            response = HTMLResponse(_render(pages, "review_note.html", note=None))
            response.set_cookie(guard.cookie, offered, YEAR, httponly=True, samesite="strict")
        else:
            response = await answer(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def desk_of(request: Request) -> str:
        return request.cookies.get(f"{cookie}-desk", "")[:64] or new_name()

    def who_is(request: Request) -> str | None:
        return _name(unquote(request.cookies.get(f"{cookie}-who", ""))) or default_name

    def with_desk(request: Request, response: Response, desk: str) -> Response:
        if request.cookies.get(f"{cookie}-desk") != desk:
            response.set_cookie(f"{cookie}-desk", desk, YEAR, httponly=True, samesite="lax")
        return response

    def wished(
        order: Annotated[Order, Query()] = wish.order,
        cls: Annotated[str, Query(alias="class")] = wish.cls,
        low: Annotated[float, Query(ge=0, le=100)] = 100 * wish.low,
        high: Annotated[float, Query(ge=0, le=100)] = 100 * wish.high,
        skipped: Annotated[bool, Query()] = False,
    ) -> Wish:
        return Wish(order, cls if cls in session.table.classes else "", low / 100, high / 100, skipped)

    def wished_in_form(
        order: Annotated[Order, Form()] = wish.order,
        cls: Annotated[str, Form(alias="class")] = wish.cls,
        low: Annotated[float, Form(ge=0, le=100)] = 100 * wish.low,
        high: Annotated[float, Form(ge=0, le=100)] = 100 * wish.high,
        skipped: Annotated[bool, Form()] = False,
    ) -> Wish:
        return wished(order, cls, low, high, skipped)

    def shown(
        request: Request, desk: str, who: str, wish: Wish, question: Question | None, word: str = ""
    ) -> Response:
        """The question: within the page, or alone where htmx asked for it."""
        last = session.last(desk)
        parts: dict[str, Any] = {
            "title": title, "who": who, "wish": wish, "question": question, "word": word, "blind": blind,
            "sees": sees and not blind, "progress": session.progress(who, wish), "images": session.table.images,
            "why": None if question is None else session.why(question.row, question.column),
            "last": last, "last_word": None if last is None else WORDS[last.what],
            "classes": session.table.classes, "orders": {order: ORDER_WORDS[order] for order in ORDERS},
        }  # fmt: skip
        alone = request.headers.get("hx-request") == "true"
        name = "review_question.html" if alone else "review.html"
        response = HTMLResponse(_render(pages, name, alone=alone, **parts))
        if alone:
            response.headers["HX-Replace-Url"] = f"/?{_query(wish)}"
        return with_desk(request, response, desk)

    @app.get("/")
    def page(request: Request, wish: Annotated[Wish, Depends(wished)]) -> Response:
        desk, who = desk_of(request), who_is(request)
        if who is None:
            return with_desk(
                request, HTMLResponse(_render(pages, "review_who.html", title=title, who="")), desk
            )
        return shown(request, desk, who, wish, session.next(desk, who, wish))

    @app.get("/who")
    def ask_who(request: Request) -> Response:
        return HTMLResponse(_render(pages, "review_who.html", title=title, who=who_is(request) or ""))

    @app.post("/who")
    def set_who(request: Request, name: Annotated[str, Form(max_length=4 * LONGEST_NAME)] = "") -> Response:
        if not (found := _name(name)):
            return HTMLResponse(_render(pages, "review_who.html", title=title, who=""), 400)
        response = RedirectResponse("/", 303)
        response.set_cookie(f"{cookie}-who", quote(found), YEAR, httponly=True, samesite="lax")
        return with_desk(request, response, desk_of(request))

    def back(request: Request, desk: str, wish: Wish) -> Response:
        """Without scripts: the whole page again."""
        return with_desk(request, RedirectResponse(f"/?{_query(wish)}", 303), desk)

    @app.post("/answer")
    def answer(
        request: Request,
        wish: Annotated[Wish, Depends(wished_in_form)],
        ask: Annotated[str, Form(min_length=1, max_length=64)],
        row: Annotated[int, Form()],
        column: Annotated[int, Form()],
        what: Annotated[Answer, Form()],
    ) -> Response:
        desk, who = desk_of(request), who_is(request)
        if who is None:
            raise HTTPException(403, "say who you are first")
        try:
            session.answer(desk, who, ask, row, column, what, hidden=blind)
        except KeyError as error:
            raise HTTPException(404, str(error.args[0])) from error
        if request.headers.get("hx-request") != "true":
            return back(request, desk, wish)
        return shown(request, desk, who, wish, session.next(desk, who, wish))

    @app.post("/undo")
    def undo(request: Request, wish: Annotated[Wish, Depends(wished_in_form)]) -> Response:
        desk, who = desk_of(request), who_is(request)
        if who is None:
            raise HTTPException(403, "say who you are first")
        before = session.last(desk)
        question = session.undo(desk, who)
        if request.headers.get("hx-request") != "true":
            return back(request, desk, wish)
        word = "Taken back." if before is not None else "There is nothing to take back."
        return shown(request, desk, who, wish, question or session.next(desk, who, wish), word)

    @app.get("/question")
    def ask_again(request: Request, wish: Annotated[Wish, Depends(wished)]) -> Response:
        desk, who = desk_of(request), who_is(request)
        if who is None:
            raise HTTPException(403, "say who you are first")
        return shown(request, desk, who, wish, session.next(desk, who, wish, anew=True))

    @app.get("/progress")
    def progress(request: Request, wish: Annotated[Wish, Depends(wished)]) -> Response:
        who = who_is(request) or ""
        return HTMLResponse(
            _render(pages, "review_progress.html", progress=session.progress(who, wish), who=who, alone=False)
        )

    @app.get("/photo/{row}")
    def photo(row: int, small: bool = False) -> Response:
        try:
            image = pictures.read_small(photos.path(row), SMALL if small else LARGE)
        except LookupError as error:
            raise HTTPException(404, str(error)) from error
        if image is None:
            raise HTTPException(404, f"{session.table.images[row]} cannot be read")
        return _jpeg(pictures.jpeg(image, 75 if small else 88))

    @app.get("/attention/{row}/{column}")
    def attention(row: int, column: int) -> Response:
        if blind or session.gaze is None or not 0 <= column < len(session.table.classes):
            raise HTTPException(404, "there is no attention to show")
        try:
            image = pictures.read_small(photos.path(row), LARGE)
        except LookupError as error:
            raise HTTPException(404, str(error)) from error
        maps = None
        with suppress(OSError):
            maps = None if image is None else session.gaze(row).attention
        if image is None or maps is None:
            raise HTTPException(404, "there is no attention to show")
        return _jpeg(pictures.jpeg(pictures.lit(image, maps[column])))

    @app.get("/static/report.css")
    def colours() -> Response:
        return Response(_render(pages, "report.css"), media_type="text/css")

    app.mount("/static", StaticFiles(packages=[("partlabel", "static")]))
    return app


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

"""Common parts of all review pages: access control (`core/access_control.py`), the person's name, the table's images.

Images are requested by their row in the table, never by a path, and are sent as newly encoded JPEGs.
"""

import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote

import jinja2
from fastapi import FastAPI, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from partlabel.core.access_control import HEADERS, Guard, from_elsewhere
from partlabel.data.tables.label_table import LabelTable
from partlabel.reporting import thumbnails
from partlabel.reporting.jinja import templates
from partlabel.review.decisions import new_name

if TYPE_CHECKING:
    from PIL.Image import Image

LARGE, SMALL = 960, 220
LONGEST_NAME = 60
YEAR = 365 * 24 * 3600


class Photos:
    """The images of a table by row; no other file can be reached.

    Args:
        table: Label table.
        follow_links: Show images that symbolic links in the image folder point to outside it.
    """

    def __init__(self, table: LabelTable, follow_links: bool = False) -> None:
        self.table, self.follow_links = table, follow_links
        self.root = Path(self.table.root or ".").resolve()

    def path(self, row: int) -> Path:
        """Return the path of an image.

        Raises:
            LookupError: There is no such row, or its file is not inside the image folder.
        """
        if not 0 <= row < len(self.table):
            raise LookupError(f"there is no row {row}")
        path = self.table.path(row)
        if not self.follow_links and not path.resolve().is_relative_to(self.root):
            raise LookupError(f"{self.table.images[row]} is outside the image folder")
        return path


class Pages:
    """Handlers of the requests that are common to all kinds of review.

    Args:
        guard: Access control.
        photos: Images of its table.
        title: Title of the review.
        port: Port, which is part of the cookie names because a browser shares cookies between all ports of a host.
    """

    def __init__(self, guard: Guard, photos: Photos, title: str, port: int) -> None:
        self.guard = guard
        self.photos = photos
        self.title = title
        self.cookie = f"partlabel-{port}"
        self.default_name = None if guard.token is not None else user_name()
        self.pages = templates()

    def app(self) -> FastAPI:
        """Create an application with these handlers."""
        app = FastAPI(title="partlabel review", docs_url=None, redoc_url=None, openapi_url=None)
        app.middleware("http")(self.checked)
        app.get("/who")(self.ask_who)
        app.post("/who")(self.set_who)
        app.get("/photo/{row}")(self.photo)
        app.get("/static/report.css")(self.colours)
        app.mount("/static", StaticFiles(packages=[("partlabel.reporting", "static")]))
        return app

    async def checked(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """Pass every request through the guard first."""
        offered = request.query_params.get("token")
        refused = self.guard.refusal(request.method, request.headers, request.cookies, offered)
        if refused is not None and self.guard.is_guess(request.cookies, offered):
            await self.guard.slow_down()
        response: Response
        if refused is not None:
            response = self.html("review_note.html", refused.status, note=refused.why)
        elif offered is not None and self.guard.token is not None and self.guard.admits(offered):
            # A page, not a redirect: after a link from another site, a browser sends a strict cookie only from here on.
            response = self.html("review_note.html", note=None, to="/")
            response.set_cookie(self.guard.cookie, offered, YEAR, httponly=True, samesite="strict")
        else:
            response = await answer(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def ask_who(self, request: Request) -> Response:
        """Return the page that asks for a name."""
        return self.html("review_who.html", title=self.title, who=self.who(request) or "")

    def set_who(
        self, request: Request, name: Annotated[str, Form(max_length=4 * LONGEST_NAME)] = ""
    ) -> Response:
        """Store the name that was entered."""
        if not (cleaned := clean_name(name)):
            return self.html("review_who.html", 400, title=self.title, who="")
        response = RedirectResponse("/", 303)
        response.set_cookie(f"{self.cookie}-who", quote(cleaned), YEAR, httponly=True, samesite="lax")
        return self.with_desk(request, response, self.desk(request))

    def photo(self, row: int, small: bool = False) -> Response:
        """Return an image of the table."""
        image = self.image(row, SMALL if small else LARGE)
        if image is None:
            raise HTTPException(404, f"{self.photos.table.images[row]} cannot be read")
        return jpeg_response(thumbnails.jpeg(image, 75 if small else 88))

    def colours(self) -> Response:
        """Return the style sheet that all pages of this package share."""
        return Response(render(self.pages, "report.css"), media_type="text/css")

    def image(self, row: int, side: int) -> "Image | None":
        """Read an image of the table, its longer side at most `side` pixels; None if it cannot be read."""
        try:
            return thumbnails.read_small(self.photos.path(row), side)
        except LookupError as error:
            raise HTTPException(404, str(error)) from error

    def is_led_here(self, request: Request) -> bool:
        """Return whether another site opened this page in a browser without a session: no question is leased then."""
        return from_elsewhere(request.headers) and f"{self.cookie}-desk" not in request.cookies

    def welcome(self, request: Request, desk: str, to: str) -> Response:
        """Return a page that forwards to an address of this site, and starts a session."""
        return self.with_desk(request, self.html("review_note.html", note=None, to=to), desk)

    def desk(self, request: Request) -> str:
        """Return the session id of the browser; a new one if it has none."""
        return request.cookies.get(f"{self.cookie}-desk", "")[:64] or new_name()

    def with_desk(self, request: Request, response: Response, desk: str) -> Response:
        """Set the session cookie of a response."""
        if request.cookies.get(f"{self.cookie}-desk") != desk:
            response.set_cookie(f"{self.cookie}-desk", desk, YEAR, httponly=True, samesite="lax")
        return response

    def who(self, request: Request) -> str | None:
        """Return the name of the person; None if it is not known."""
        return clean_name(unquote(request.cookies.get(f"{self.cookie}-who", ""))) or self.default_name

    def known(self, request: Request) -> str:
        """Return the name of the person; an error if it is not known."""
        who = self.who(request)
        if who is None:
            raise HTTPException(403, "enter your name first, at /who")
        return who

    def html(self, name: str, status: int = 200, **shown: Any) -> Response:
        """Render a template as a response."""
        return HTMLResponse(render(self.pages, name, **shown), status)


def by_htmx(request: Request) -> bool:
    """Return whether a script requests an update, rather than a browser a page."""
    return request.headers.get("hx-request") == "true"


def render(pages: jinja2.Environment, name: str, **shown: Any) -> str:
    """Render a template as text."""
    return pages.get_template(name).render(shown)


def jpeg_response(content: bytes) -> Response:
    """Return a JPEG response that the browser may cache for an hour."""
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def clean_name(given: str) -> str:
    """Remove what does not belong in a name; empty if nothing is left."""
    printable = "".join(letter for letter in given if letter.isprintable())
    return " ".join(printable.split())[:LONGEST_NAME]


def user_name() -> str:
    """Return the name of the user who runs this process."""
    try:
        return clean_name(getpass.getuser()) or "anonymous"
    except (OSError, KeyError):
        return "anonymous"

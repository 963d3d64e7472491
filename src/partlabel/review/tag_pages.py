"""Web page of `photo_tags.py`: one photo and all its unknown labels, saved by one request; tags can be added."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

from partlabel.core.access_control import Guard
from partlabel.core.labels import UNKNOWN
from partlabel.data.new_names import RepeatedName, similar_class
from partlabel.review.events import Answer, Cell
from partlabel.review.new_tags import MOST
from partlabel.review.pages import Photos
from partlabel.review.photo_tags import PhotoTags
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.session import Session
from partlabel.review.sheet_pages import ANSWERS
from partlabel.review.together_pages import TogetherPages, number


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
    answers = TagPages(
        PhotoTags(session, blind), session, guard, photos, title, wish, blind, sees and not blind, port
    )
    app = answers.app()
    app.state.tags = len(session.table.classes) + 2 * MOST
    app.get("/")(answers.page)
    app.post("/tags")(answers.confirm)
    app.get("/tag")(answers.checked_tag)
    app.post("/undo")(answers.undo)
    app.get("/question")(answers.ask_again)
    app.get("/progress")(answers.progress)
    return app


class TagPages(TogetherPages):
    """Handlers of all requests; arguments as for `TogetherPages`."""

    called = "photo"
    templates = ("tags.html", "tags_photo.html")
    together: PhotoTags

    def record(self, desk: str, who: str, ask: str, form: Mapping[str, str]) -> None:
        """Record the answers about a photo."""
        row, columns = number(form.get("row", "")), range(len(self.session.table.classes))
        given = {
            column: answer for column in columns for answer in ANSWERS if form.get(f"t{column}") == answer
        }
        self.together.confirm(desk, who, ask, row, given, _new_tags(form))

    def checked_tag(self, request: Request, row: int, name: str = "") -> dict[str, Any]:
        """Check a tag that a person typed; nothing is recorded until the photo is saved.

        Args:
            request: Request.
            row: Row of the photo.
            name: Name as it was typed.

        Returns:
            `name`, the class that it becomes; or `problem`, why it cannot be one. `instead` is a class that it may be,
            and `answered` whether that has an answer on this photo already.
        """
        self.known(request)
        with self.session.lock:
            self.session.follow()
            try:
                self.together.require_photo(row)
                found = self.together.new.named(name)
            except KeyError as error:
                raise HTTPException(404, str(error.args[0])) from error
            except RepeatedName as error:
                return {"problem": f"{error}.", **self._instead(row, error.instead)}
            except ValueError as error:
                return {"problem": f"{error}."}
            if found in self.session.tally.new_classes():
                return {"name": found}
            similar = similar_class(found, self.together.new.classes())
            return {"name": found} | (self._instead(row, similar) if similar else {})

    def _instead(self, row: int, name: str) -> dict[str, Any]:
        """Describe a class that was probably meant."""
        cell = Cell(self.session.table.images[row], name)
        place = self.session.place(cell)
        known = self.session.tally.label(cell) if place is None else self.session.labels[place]
        return {"instead": name, "answered": bool(known != UNKNOWN), "is_new": place is None}

    def rendered(
        self, request: Request, desk: str, who: str, wish: Wish, pages: tuple[str, str], parts: dict[str, Any]
    ) -> Response:
        """Render a page, as in `Answers.rendered`, with the classes that people added."""
        return super().rendered(
            request, desk, who, wish, pages, parts | {"added": self.session.tally.new_classes()}
        )


def _new_tags(form: Mapping[str, str]) -> dict[str, Answer]:
    """Read the answers about classes that the table does not have: `new0` is a name, and `tnew0` its answer."""
    names = {field: name for field, name in form.items() if re.fullmatch(r"new\d{1,4}", field)}
    return {
        name: answer for field, name in names.items() for answer in ANSWERS if form.get(f"t{field}") == answer
    }

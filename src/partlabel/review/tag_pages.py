"""Web page of `photo_tags.py`: one photo and all its unknown labels, saved by one request."""

from collections.abc import Mapping

from fastapi import FastAPI

from partlabel.core.access_control import Guard
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
    app.state.tags = len(session.table.classes)
    app.get("/")(answers.page)
    app.post("/tags")(answers.confirm)
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
        self.together.confirm(desk, who, ask, row, given)

"""Set-up of a review: from a run and a table to the web application, its access token and its address."""

import secrets
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from partlabel.core.access_control import Guard, is_loopback
from partlabel.core.files import read_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.review import orders
from partlabel.review.decisions import LEASE, DecisionLog
from partlabel.review.sheets import Sheets
from partlabel.training.run_folder import Run

if TYPE_CHECKING:
    from fastapi import FastAPI

    from partlabel.review.session import Session
    from partlabel.tagger import Tagger

PORT = 8765
SHORTEST_TOKEN = 16
"""Minimum length of a user's token in characters."""


def build_app(
    run: Run,
    table: LabelTable,
    *,
    port: int,
    host: str = "127.0.0.1",
    token: str | None = None,
    known_as: str | None = None,
    order: str = orders.DEFAULT,
    part: str | None = None,
    blind: bool = False,
    follow_links: bool = False,
    lease: float = LEASE,
    photos: int | None = None,
    tags: bool = False,
    retrain: int | None = None,
    batch_size: int = 64,
    workers: int = 0,
    trust: bool = False,
    tower: str | None = None,
) -> "tuple[FastAPI, Session]":
    """Create the review page of a run, and the session behind it.

    Args:
        run: Run folder.
        table: Label table whose unknown labels are reviewed.
        port: Port of the page.
        host: Address to bind to.
        token: Token that visitors need; None for open access.
        known_as: Additional host names of the page, such as that of a reverse proxy, separated by commas.
        order: Name of the default order of questions.
        part: Part of the split to review; all images if None.
        blind: Hide the model's predictions.
        follow_links: Show images that symbolic links in the image folder point to outside it.
        lease: Time in seconds for which a question is reserved for one person.
        photos: Number of photos on a page; one question at a time if None.
        tags: Show one photo at a time, with all its unknown labels.
        retrain: Number of decisions after which the model is fitted again; never if None.
        batch_size: Images per batch during inference.
        workers: DataLoader worker processes; 0 loads in the main process.
        trust: Whether to trust the model's code, as in `Tagger.load`.
        tower: Tower of the training; None for the copy in the run folder.

    Raises:
        ValueError: The classes differ, the table has no such part, the tower is missing or another one, the log of
            decisions is not valid, or the model is to be fitted again and cannot be.
    """
    import numpy as np

    from partlabel.core.column_rules import column_rules
    from partlabel.data.tables.closure import with_added
    from partlabel.data.tables.splits import aligned
    from partlabel.reporting.examples import Example
    from partlabel.reporting.run_outputs import examples_of
    from partlabel.review import app, predictions_cache
    from partlabel.review.photo_texts import PhotoTexts
    from partlabel.review.questions import Wish
    from partlabel.review.refitting import check_refittable, refitting_of
    from partlabel.review.retraining import Retraining
    from partlabel.review.rules_of_review import RulesOfReview
    from partlabel.review.session import Session

    tagger = _loaded(run, trust, tower)
    if retrain is not None:
        check_refittable(run, tagger, part)
    table = aligned(with_added(table, tagger.rules), tagger.classes)
    predictions = predictions_cache.load_predictions(tagger, run, table, batch_size, workers)
    gaze = app.Gaze(lambda row: examples_of(tagger, table[[row]])[0])
    readable = np.isfinite(predictions.logits).all(axis=1)
    beside = tagger.beside(table, batch_size, workers, readable)
    first = gaze(int(readable.argmax())) if readable.any() else Example(Path())
    session = Session(
        table,
        predictions,
        DecisionLog(run.decisions, lease),
        tagger.completion,
        part,
        None if first.attention is None and first.cooccurrence is None else gaze,
        PhotoTexts(table.texts, table.classes, predictions.logits, tagger.texts, beside),
        RulesOfReview.of(column_rules(tagger.rules, table.classes)),
    )
    if retrain is not None:
        Retraining(session, refitting_of(run, tagger, table, predictions, beside), retrain).start()
    guard = Guard(host, token, f"partlabel-{port}-token", known_as)
    shown = {"blind": blind, "follow_links": follow_links, "sees": first.attention is not None, "port": port}
    return creator_of(photos, tags)(session, guard, title=tagger.name, wish=Wish(order), **shown), session


def creator_of(photos: int | None, tags: bool) -> "Callable[..., FastAPI]":
    """Return the function that creates the web application: single questions, pages of photos, or of tags."""
    from partlabel.review import app, grid_pages, tag_pages

    if tags:
        return tag_pages.create
    return app.create if photos is None else partial(grid_pages.create, size=photos)


def _loaded(run: Run, trust: bool, tower: str | None) -> "Tagger":
    """Load the tagger of a run, and give it a tower where one is named."""
    from partlabel.tagger import Tagger
    from partlabel.training.towers import loading

    tagger = Tagger.load(run.folder, trust)
    if tower is not None:
        tagger.tower = loading.load(tower)
    return tagger


def build_sheets(
    run: Run,
    table: LabelTable,
    *,
    typed: str,
    wanted: int,
    seed: int = 0,
    port: int,
    host: str = "127.0.0.1",
    token: str | None = None,
    known_as: str | None = None,
    part: str | None = None,
    follow_links: bool = False,
) -> "tuple[FastAPI, Sheets]":
    """Create the page that collects a calibration set, and the set behind it. No inference is run.

    Args:
        run: Run folder.
        table: Label table from which images are drawn.
        typed: Run folder as typed by the user.
        wanted: Number of images.
        seed: Random seed of the draw.
        port: Port of the page.
        host: Address to bind to.
        token: Token that visitors need; None for open access.
        known_as: Additional host names of the page, such as that of a reverse proxy, separated by commas.
        part: Part of the split to draw from; all but `test` if None.
        follow_links: Show images that symbolic links in the image folder point to outside it.

    Raises:
        ValueError: The classes differ, the table has no such part, there is no image to draw, or the log of decisions
            is not valid.
    """
    from partlabel.core.rules import Rules
    from partlabel.data.tables.closure import with_added
    from partlabel.data.tables.splits import aligned
    from partlabel.review import sheet_pages

    description = read_json(run.config)
    rules = Rules.from_json(description.get("rules") or {})
    table = aligned(with_added(table, rules), description["classes"])
    sheets = Sheets(table, DecisionLog(run.decisions), wanted, part=part, seed=seed)
    guard = Guard(host, token, f"partlabel-{port}-token", known_as)
    page = sheet_pages.create(
        sheets, guard, title=description.get("name", typed), run=typed, follow_links=follow_links, port=port
    )
    return page, sheets


def token_for(host: str, given: str | None, known_as: str | None = None) -> str | None:
    """Return the token of a page: the given one; None if only this machine can reach it; else a new one.

    Raises:
        ValueError: The given token is short enough to be guessed.
    """
    if given is not None and len(given) < SHORTEST_TOKEN:
        raise ValueError(
            f"--token has {len(given)} characters and could be guessed: give {SHORTEST_TOKEN} or more, or omit --token "
            "to generate one"
        )
    return given or (None if is_loopback(host) and not known_as else secrets.token_urlsafe(24))


def address(host: str, port: int, token: str | None) -> str:
    """Return the address to open in a browser."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")

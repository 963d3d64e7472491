"""Puts a review together and serves it until it is interrupted."""

import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from partlabel.core.access_control import Guard, is_loopback
from partlabel.core.files import read_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.review.decisions import LEASE, DecisionLog
from partlabel.review.ordering import Order
from partlabel.review.sheets import Sheets
from partlabel.training.run_folder import Run

if TYPE_CHECKING:
    from fastapi import FastAPI

    from partlabel.review.session import Session

PORT = 8765
SHORTEST_TOKEN = 16
"""Letters of a token that somebody makes up."""


def build_app(
    run: Run,
    table: LabelTable,
    *,
    port: int,
    host: str = "127.0.0.1",
    token: str | None = None,
    known_as: str | None = None,
    order: Order = "class",
    part: str | None = None,
    blind: bool = False,
    follow_links: bool = False,
    lease: float = LEASE,
    batch_size: int = 64,
    workers: int = 0,
    trust: bool = False,
) -> "tuple[FastAPI, Session]":
    """The page of a run, and the review behind it.

    Args:
        run: The run.
        table: Its blanks are asked about.
        port: That the page is at.
        host: The address that it is bound to.
        token: Who comes needs it; None where everybody may.
        known_as: Another name that it goes by, as of a proxy before it.
        order: What is asked first where nobody wished for anything else.
        part: Ask about this part of the split alone.
        blind: Keep what the model says to itself.
        follow_links: Show images that links in the image folder lead out of it to.
        lease: Seconds that a question is one person's alone.
        batch_size: Images at a time, when they are first looked at.
        workers: Processes that read images.
        trust: As `Tagger.load`.

    Raises:
        ValueError: The classes differ, there is no such part, or the file of decisions is something else.
    """
    import numpy as np

    from partlabel.data.tables.splits import aligned
    from partlabel.reporting.run_outputs import examples_of
    from partlabel.reporting.run_report import Example
    from partlabel.review import app, predictions_cache
    from partlabel.review.session import Session, Wish
    from partlabel.tagger import Tagger

    tagger = Tagger.load(run.folder, trust)
    table = aligned(table, tagger.classes)
    seen = predictions_cache.load_predictions(tagger, run, table, batch_size, workers)
    gaze = app.Gaze(lambda row: examples_of(tagger, table[[row]])[0])
    readable = np.flatnonzero(np.isfinite(seen.logits).all(axis=1))
    first = gaze(int(readable[0])) if len(readable) else Example(Path())
    of_use = first.attention is not None or first.cooccurrence is not None
    session = Session(
        table, seen, DecisionLog(run.decisions, lease), tagger.completion, part, gaze if of_use else None
    )
    page = app.create(
        session,
        Guard(host, token, f"partlabel-{port}-token", known_as),
        title=tagger.name,
        wish=Wish(order),
        blind=blind,
        follow_links=follow_links,
        sees=first.attention is not None,
        port=port,
    )
    return page, session


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
    """The page that collects a calibration set, and the set behind it. The model is not asked anything.

    Args:
        run: The run.
        table: Images are drawn from it.
        typed: The run folder as it was typed.
        wanted: Number of photos.
        seed: Of the draw.
        port: That the page is at.
        host: The address that it is bound to.
        token: Who comes needs it; None where everybody may.
        known_as: Another name that it goes by, as of a proxy before it.
        part: Draw from this part of the split alone.
        follow_links: Show images that links in the image folder lead out of it to.

    Raises:
        ValueError: The classes differ, there is no such part, no image to draw, or the file of decisions is something
            else.
    """
    from partlabel.data.tables.splits import aligned
    from partlabel.review import sheet_pages

    description = read_json(run.config)
    table = aligned(table, description["classes"])
    sheets = Sheets(table, DecisionLog(run.decisions), wanted, part=part, seed=seed)
    guard = Guard(host, token, f"partlabel-{port}-token", known_as)
    page = sheet_pages.create(
        sheets, guard, title=description.get("name", typed), run=typed, follow_links=follow_links, port=port
    )
    return page, sheets


def token_for(host: str, given: str | None, known_as: str | None = None) -> str | None:
    """The token that a page at an address needs: the one given; none on this machine alone; else a new one.

    Raises:
        ValueError: The one given is short enough to be guessed.
    """
    if given is not None and len(given) < SHORTEST_TOKEN:
        raise ValueError(
            f"--token has {len(given)} characters, and could be guessed: give {SHORTEST_TOKEN} or more, or leave it "
            "out for a new one"
        )
    return given or (None if is_loopback(host) and not known_as else secrets.token_urlsafe(24))


def address(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")

"""Command `review`: answer questions about unknown labels on a local page, or export the decisions."""

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._command import command
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._listening import listen
from partlabel.cli.commands._reading import RunOptions, TableOptions, TextOptions
from partlabel.cli.commands._saying import say_closure, say_texts
from partlabel.cli.commands._teaching import extend_command, teaching
from partlabel.cli.commands._towers import TowerOptions
from partlabel.cli.parser import UsageError
from partlabel.core.messages import some

if TYPE_CHECKING:
    from fastapi import FastAPI

    from partlabel.data.tables.label_table import LabelTable
    from partlabel.review.session import Session
    from partlabel.review.sheets import Sheets

SAME_COMMAND = "the same command with the same table and images and"


@command("Use", with_model=True)
def review(
    data: RunOptions,
    *,
    order: str = "class",
    part: str | None = None,
    page: int | None = None,
    tags: bool = False,
    blind: bool = False,
    retrain: int | None = None,
    calibrate: int | None = None,
    draw_seed: int = 0,
    export: Path | None = None,
    disputed: Literal["later", "blank"] = "later",
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    known_as: str | None = None,
    lease: float = 120.0,
    follow_links: bool = False,
    inference: InferenceOptions,
    beside: TextOptions,
    names: TowerOptions,
) -> None:
    """Review the unknown labels of a table on a local web page, or export the decisions.

    Args:
        data: Run and label table.
        order: Initial order of questions; it can be changed on the page: `class` (the classes take turns, the most
            probable unknown labels of each first), `distinct` (the same, photos that resemble an earlier one last),
            `handover` (the same until a class has 50 present labels, then the least certain), `missing` (more of
            classes with fewer present labels), `balanced` (the same, half of them the least certain), `mixed` (every
            fourth at random, which corrects probabilities, the others as `class`), `uncertain` (least certain first),
            `surest` (most probable first) or `random`.
        part: Part of the split to review, such as train; with --export, the part whose decisions are used.
        page: Ask about this number of photos at once, 12 to 48: one class, with the expected answers set, which are
            corrected and confirmed together. By default one question at a time.
        tags: Ask about all unknown labels of one photo at once, with a search in the classes; new tags can be added,
            which become classes.
        blind: Hide the model's predictions, so that they cannot bias the answers.
        retrain: Fit the model again in the background after this number of decisions, for example 200, every time; the
            questions and the expected answers follow. It needs a linear head. By default the run's predictions stay.
        calibrate: Collect a calibration set instead: this number of photos, such as 40, is drawn at random, and all
            classes of a photo are answered on one page; --export marks the photos in a column `calibration`. Photos of
            the part test are drawn only if --part names it.
        draw_seed: Random seed of that draw.
        export: Write the table with all decisions so far to this file, .csv or .parquet, for `train`; no page is
            opened.
        disputed: Rule for labels that people disagree about in the exported table: `later` uses the later answer,
            `blank` keeps them unknown.
        host: Address to listen on. Anything but the default can be reached from other machines, and visitors need a
            token.
        port: Port of the page; 0 selects a free one.
        token: Token that visitors need; by default one is generated where it is needed.
        known_as: Additional host name of the page, such as that of a reverse proxy; several are separated by commas.
            Visitors then need a token.
        lease: Time in seconds for which a question is reserved for one person.
        follow_links: Show images that symbolic links in the image folder point to outside it.
        inference: Loading of the model and of images.
        beside: Texts of the photos.
        names: Tower.
    """
    if export is not None:
        _export(data, _known(data, beside), part, export, disputed)
        return
    _check(order, page, tags, calibrate, retrain)
    given = data.chosen.read("keep", beside.texts)
    say_texts(given)
    _need_fastapi()
    from partlabel.review import build
    from partlabel.training.run_folder import Run

    access_token = build.token_for(host, token, known_as)
    with listen(host, port) as bound:
        where: dict[str, Any] = {
            "port": bound.getsockname()[1], "host": host, "token": access_token, "known_as": known_as, "part": part,
            "follow_links": follow_links,
        }  # fmt: skip
        if calibrate is not None:
            web, sheets = build.build_sheets(
                Run(data.run), given, typed=str(data.run), wanted=calibrate, seed=draw_seed, **where
            )
            decisions, words = sheets.decisions, _sheets_so_far(sheets, calibrate)
        else:
            web, session = build.build_app(
                Run(data.run), given, order=order, blind=blind, lease=lease, photos=page, tags=tags,
                retrain=retrain, trust=inference.trust, tower=names.tower, **inference.loading, **where,
            )  # fmt: skip
            decisions, words = session.decisions, _so_far(session)
        print("\n".join(words))
        print(
            f"open {build.address(host, where['port'], access_token)} (Ctrl-C stops the server)", flush=True
        )
        with closing(decisions):
            _serve(web, bound)
            new = decisions.tally().new_classes()
    _say_what_is_next(data, new)


def _serve(web: "FastAPI", bound: socket) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn

    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(web, log_level="warning", server_header=False)).run(sockets=[bound])


def _say_what_is_next(data: RunOptions, new: Sequence[str]) -> None:
    """Print the commands that use the decisions."""
    again = f"partlabel review {data.run}" if data.table is None else SAME_COMMAND
    print(f"to write the table with all decisions: {again} --export reviewed.csv")
    if new:
        taught = extend_command(data.run, Path("reviewed.csv"), new, data.images)
        print(f"then, to teach the tagger the added classes {some(new)}: {taught}")


def _check(
    order: str, page: int | None, tags: bool, calibrate: int | None, retrain: int | None = None
) -> None:
    """Check the options before anything is read.

    Raises:
        UsageError: There is no such order, a number is out of range, or two options exclude each other.
    """
    from partlabel.core.messages import did_you_mean
    from partlabel.review import orders
    from partlabel.review.page_size import FEWEST, MOST

    if order not in (known := orders.names()):
        raise UsageError(
            f"--order: there is no order {order!r}{did_you_mean(order, known)}; there are: {', '.join(known)}"
        )
    if retrain is not None and retrain < 1:
        raise UsageError(
            f"--retrain {retrain}: give the number of decisions between two fits, for example 200"
        )
    if retrain is not None and calibrate is not None:
        raise UsageError(
            "--calibrate shows no predictions, so that there is nothing to fit again: leave out --retrain"
        )
    if calibrate is not None and calibrate < 1:
        raise UsageError(f"--calibrate {calibrate}: give the number of photos to draw, for example 40")
    if page is not None and not FEWEST <= page <= MOST:
        raise UsageError(f"--page {page}: give the number of photos on a page, from {FEWEST} to {MOST}")
    if (page is not None) + tags + (calibrate is not None) > 1:
        raise UsageError(
            "--page asks for one class in many photos, --tags for all unknown labels of one photo, and --calibrate for "
            "all labels of a random one: give one of them"
        )


def _so_far(session: "Session") -> list[str]:
    """Summarise a review before its page opens."""
    from partlabel.review.questions import ANYTHING

    words = []
    if session.unreadable:
        words.append(f"{session.unreadable:,} images cannot be read and are left out")
    so_far = session.progress("", ANYTHING)
    return [
        *words,
        f"{so_far.blanks:,} unknown labels, {so_far.decided:,} of them decided; every answer is saved immediately",
    ]


def _sheets_so_far(sheets: "Sheets", wanted: int) -> list[str]:
    """Summarise a calibration set before its page opens."""
    so_far = sheets.progress()
    words = [
        f"{so_far.wanted:,} photos drawn at random from {len(sheets.order):,}, {so_far.done:,} of them complete; "
        "every photo is saved immediately"
    ]
    if so_far.wanted < wanted:
        words.insert(0, f"only {so_far.wanted:,} images can be drawn, fewer than --calibrate {wanted:,}")
    return words


def _known(data: RunOptions, beside: TextOptions) -> "LabelTable":
    """Read the table with the image names that the page used; the images of the run's own table are not needed."""
    from partlabel.training.run_folder import Run

    if data.table is None and data.images is None:
        return TableOptions(Run(data.run).labels).read(texts=beside.texts)
    return data.chosen.read("keep", beside.texts)


def _export(
    data: RunOptions, table: "LabelTable", part: str | None, out: Path, disputed: Literal["later", "blank"]
) -> None:
    """Write the table with all decisions, and with the classes that people added.

    Raises:
        FileNotFoundError: There are no decisions.
        ValueError: No decision is about this table, or the table has no such part.
    """
    from partlabel.core.files import read_json
    from partlabel.core.rules import Rules
    from partlabel.data.tables.closure import close, with_added
    from partlabel.priors.reviewed import Reviewed
    from partlabel.review import merging, sheets
    from partlabel.review.decisions_copy import opened_read_only
    from partlabel.training.run_folder import Run

    run = Run(data.run)
    file = run.decisions
    if not file.exists():
        raise FileNotFoundError(f"there are no decisions to export: {file} does not exist")
    with opened_read_only(file) as decisions:
        tally, complete = decisions.tally(), sheets.complete(decisions)
    rules = Rules.from_json(read_json(run.config).get("rules") or {})
    table = with_added(table, rules)
    more = merging.with_added_classes(table, tally, part)
    new = more.classes[len(table.classes) :]
    merged = merging.merge(more, tally, disputed, part, complete)
    if tally.answers and merged.elsewhere == len(tally.answers):
        raise ValueError(
            f"{file}: none of {merged.elsewhere:,} decisions is about an image and a class of this table (one is about "
            f"{next(iter(tally.answers)).image!r}); give the table, --images and --format of the review"
        )
    closure = close(merged.table, rules) if rules else None
    written = merged.table if closure is None else closure.table
    (written.with_calibration(None) if new else written).save(out)
    print(f"{out}: {merged.present:,} unknown labels became present and {merged.absent:,} absent")
    say_closure(closure)
    if merged.calibration:
        print(_calibration_words(merged.calibration, new))
    elif (found := Reviewed.of(written.labels, written.origins)) and found.drawn.any():
        print(found.sentence(written.labels, str(out)))
    if merged.elsewhere:
        print(f"{merged.elsewhere:,} decisions are about images or classes that are not in this table")
    if merged.other_parts:
        print(f"{merged.other_parts:,} decisions are about parts other than {part} and are left out")
    if merged.disputes:
        listed = merging.save_disputes(merged.disputes, out.with_suffix(".disputes.csv"))
        print(f"{merged.disputed:,} labels are disputed, see {listed}")
    if new:
        print("\n".join(teaching(merged.table, new, data.run, out, data.images)))


def _calibration_words(count: int, new: Sequence[str]) -> str:
    """Say which images are marked as the calibration set; none are labelled completely for added classes."""
    if not new:
        return (
            f"{count:,} images are marked in the column calibration: drawn at random and labelled completely"
        )
    return (
        f"the {count:,} images of the calibration set are not marked, because they are not labelled completely for the "
        "added classes; the commands tune and fill of this run use them as before"
    )


def _need_fastapi() -> None:
    """Raise an error that names the missing packages and how to install them."""
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if missing:
        raise ImportError(f"review needs {', '.join(missing)}: pip install 'partlabel[serve]'")

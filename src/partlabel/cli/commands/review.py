"""The verbs `review` and `simulate-review`: people decide about blanks, and what the order of questions is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.cli.commands._shared import listen, read_table, run_table
from partlabel.cli.parser import UsageError
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.review.session import Session
    from partlabel.review.sheets import Sheets


def review(
    run: Path,
    table: Path | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    order: Literal["uncertain", "surest", "class", "random"] = "class",
    part: str | None = None,
    blind: bool = False,
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
    batch_size: int = 64,
    workers: int = 0,
    trust: bool = False,
    *,
    format: dict[str, Any],
) -> None:
    """Go through the blanks of a table on a local web page, or write what was decided.

    Args:
        run: Run folder.
        table: Label table; the one the run was trained on if none.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        order: What is asked first, until changed on the page: `class` (classes take turns, the most probable blanks of
            each), `uncertain`, `surest` (the most probable) or `random`.
        part: Ask about this part of the split alone, such as train; with --export, take decisions about it alone.
        blind: Keep what the model says to itself, so that it sways nobody.
        calibrate: Collect a calibration set in place of answering blanks: this many photos, such as 40, are drawn at
            random, and all tags of a photo are answered on one page; --export marks them in a column `calibration`.
            Photos of the part test are not drawn unless --part names it.
        draw_seed: Of that draw.
        export: Open no page; write the table with all decisions so far, .csv or .parquet, for `train` to read.
        disputed: In that table, of a label that people disagree about: the `later` answer, or it stays `blank`.
        host: Address to be reached at. Other than this machine alone, visitors need a token.
        port: Of the page; 0 for any that is free.
        token: That visitors need; a new one where one is needed and none is given.
        known_as: Another host name that the page goes by, as of a proxy before it; then visitors need a token.
        lease: Seconds that a question is one person's alone.
        follow_links: Show images that links in the image folder lead out of it to.
        batch_size: Images at a time, when they are first looked at.
        workers: Processes that read images.
        trust: Import the model's method and head also from the working directory and its own folder; without it, only
            installed packages are.
        format: Of the table.
    """
    if export is not None:
        _export(run, _known(run, table, images, absent, format), part, export, disputed)
        return
    if calibrate is not None and calibrate < 1:
        raise UsageError(f"--calibrate {calibrate}: name the number of photos to draw, for example 40")
    given = run_table(run, table, images, absent, format, missing="keep")
    _need_fastapi()
    import uvicorn

    from partlabel.review import build
    from partlabel.training.run_folder import Run

    needed = build.token_for(host, token, known_as)
    with listen(host, port) as bound:
        where: dict[str, Any] = {
            "port": bound.getsockname()[1], "host": host, "token": needed, "known_as": known_as, "part": part,
            "follow_links": follow_links,
        }  # fmt: skip
        if calibrate is not None:
            page, sheets = build.build_sheets(
                Run(run), given, typed=str(run), wanted=calibrate, seed=draw_seed, **where
            )
            decisions, words = sheets.decisions, _sheets_so_far(sheets, calibrate)
        else:
            page, session = build.build_app(
                Run(run), given, order=order, blind=blind, lease=lease, batch_size=batch_size, workers=workers,
                trust=trust, **where,
            )  # fmt: skip
            decisions, words = session.decisions, _so_far(session)
        print("\n".join(words))
        print(f"open {build.address(host, where['port'], needed)} (Ctrl-C ends)", flush=True)
        server = uvicorn.Server(uvicorn.Config(page, log_level="warning", server_header=False))
        try:
            server.run(sockets=[bound])
        except KeyboardInterrupt:
            pass
        finally:
            decisions.close()
    again = (
        f"partlabel review {run}" if table is None else "the same command with the same table and images and"
    )
    print(f"write what was decided: {again} --export reviewed.csv")


def _so_far(session: "Session") -> list[str]:
    """What is said of a review before its page opens."""
    from partlabel.review.session import ANYTHING

    words = []
    if session.unreadable:
        words.append(f"{session.unreadable:,} images cannot be read, and are not asked about")
    so_far = session.progress("", ANYTHING)
    return [
        *words,
        f"{so_far.blanks:,} blanks, of which {so_far.decided:,} are decided; every answer is kept at once",
    ]


def _sheets_so_far(sheets: "Sheets", wanted: int) -> list[str]:
    """What is said of a calibration set before its page opens."""
    so_far = sheets.progress()
    words = [
        f"{so_far.wanted:,} photos drawn at random from {len(sheets.order):,}, of which {so_far.done:,} are complete; "
        "every photo is kept at once"
    ]
    if so_far.wanted < wanted:
        words.insert(
            0, f"there are only {so_far.wanted:,} images to draw from, fewer than --calibrate {wanted:,}"
        )
    return words


def _known(
    run: Path, table: Path | None, images: Path | None, absent: Absent | None, format: dict[str, Any]
) -> "LabelTable":
    """The table as the page has it, its images by the same names; those of the run's own need not be at hand."""
    from partlabel.training.run_folder import Run

    if table is None and images is None:
        return read_table(Run(run).labels, None)
    return run_table(run, table, images, absent, format, missing="keep")


def _export(
    run: Path, table: "LabelTable", part: str | None, out: Path, disputed: Literal["later", "blank"]
) -> None:
    """Write the table with what was decided.

    Raises:
        FileNotFoundError: There are no decisions.
        ValueError: None of them is about this table, or there is no such part.
    """
    from partlabel.review import merging, sheets
    from partlabel.review.decisions import copied
    from partlabel.training.run_folder import Run

    file = Run(run).decisions
    if not file.exists():
        raise FileNotFoundError(f"nothing was decided yet: there is no {file}")
    with copied(file) as decisions:
        tally, complete = decisions.tally(), sheets.complete(decisions)
    merged = merging.merge(table, tally, disputed, part, complete)
    if tally.answers and merged.elsewhere == len(tally.answers):
        raise ValueError(
            f"{file}: none of {merged.elsewhere:,} decisions is about an image and a class of this table, as about "
            f"{next(iter(tally.answers)).image!r}; name the table, --images and --format that the review had"
        )
    merged.table.save(out)
    print(f"{out}: {merged.present:,} blanks became present and {merged.absent:,} absent")
    if merged.calibration:
        print(
            f"{merged.calibration:,} images are marked in the column calibration: drawn at random and labelled "
            "completely"
        )
    if merged.elsewhere:
        print(f"{merged.elsewhere:,} decisions are about images or classes that this table does not have")
    if merged.other_parts:
        print(f"{merged.other_parts:,} decisions are about other parts than {part}, and are left out")
    if merged.disputes:
        listed = merging.save_disputes(merged.disputes, out.with_suffix(".disputes.csv"))
        print(f"{merged.disputed:,} labels are disputed: {listed}")


def simulate_review(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    known: float = 0.1,
    batch: int = 1000,
    rounds: int = 10,
    seeds: int = 2,
    head: Literal["average", "covariance"] = "covariance",
    epochs: int = 9,
    weight_decay: float = 0.03,
    cache_dir: Path | None = None,
    out: Path = Path("review.csv"),
    curve: Path | None = None,
    *,
    format: dict[str, Any],
) -> None:
    """Measure how many decisions each order of questions needs, on a table where all is known.

    Args:
        table: Label table with the parts train and test, in which nothing of train is unknown.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        known: Share of the training labels that is known at first.
        batch: Questions before the head is trained anew.
        rounds: How often.
        seeds: How often all of it.
        head: That is trained, on a frozen backbone.
        epochs: Passes over the training images.
        weight_decay: Of the head.
        cache_dir: The folder of the feature cache.
        out: Measurements to write, .csv.
        curve: Picture of them to write, .png or .svg.
        format: Of the table.
    """
    if images is None:
        raise UsageError(
            "missing: --images, the image folder (all options: partlabel simulate-review --help)"
        )
    from partlabel.review import simulation
    from partlabel.training.config import TrainingConfig

    config = TrainingConfig(epochs=epochs, batch_size=128, weight_decay=weight_decay)
    given = simulation.prepare(read_table(table, images, absent, format), head, cache_dir)
    points = simulation.simulate(given, simulation.ORDERS, seeds, known, batch, rounds, head, config)
    simulation.save_points(points, out)
    if curve is not None:
        simulation.plot(points, curve)
    decisions, maps = simulation.curves(points)["random"]
    print(
        f"mAP on test: {maps[0]:.1%} before, {maps[-1]:.1%} after {decisions[-1]:,} decisions in random order;"
    )
    for order, needed in simulation.needed(points, decisions[-1]).items():
        reached = "did not get there" if needed is None else f"{needed:,.0f} decisions for the same"
        print(f"  {order:<10} {reached}")
    print(f"measurements in {out}")


def _need_fastapi() -> None:
    """Say what is missing, and how to get it."""
    from importlib.util import find_spec

    lacking = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if lacking:
        raise ImportError(f"review needs {', '.join(lacking)}: pip install 'partlabel[serve]'")

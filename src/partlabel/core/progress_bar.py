"""Progress of long work on standard error: a bar on a terminal, plain lines elsewhere.

On a terminal a bar shows the rate and the remaining time. Elsewhere (a log file, a cluster's output) a stage that takes
longer than a second prints a line when it starts, one every ten seconds, and one at its end. Times are taken from the
monotonic clock. `PARTLABEL_QUIET=1`, or `--quiet` on the command line, silences all of it; in distributed training only
the first process prints.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

QUIET = "PARTLABEL_QUIET"
BEGINS_AFTER, EVERY = 1.0, 10.0
"""Seconds after which a stage prints its first line, and between two of its lines."""
_RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")


def quiet() -> bool:
    """Return whether nothing is shown: `PARTLABEL_QUIET` is set, or another process of the same training prints."""
    requested = os.environ.get(QUIET, "0") not in ("", "0")
    return requested or any(os.environ.get(name, "0") not in ("", "0") for name in _RANKS)


def on_terminal() -> bool:
    """Return whether bars are shown: standard error is a terminal, and progress is not silenced."""
    return sys.stderr.isatty() and not quiet()


def say(text: str) -> None:
    """Print a line about the work to standard error, unless quiet."""
    if not quiet():
        print(text, file=sys.stderr, flush=True)


class Stage:
    """One stage of the work, reported in lines; `track` creates one for an iterable.

    A thread watches the clock, so that lines are printed in time even while a single item takes long.

    Args:
        doing: Description, as in "Caching features".
        total: Number of items; None if unknown.
        unit: Name of the items, as in "images".
    """

    def __init__(self, doing: str, total: int | None = None, unit: str = "") -> None:
        self.doing = doing
        self.total = total
        self.unit = f" {unit}" if unit else ""
        self.done = 0
        self.note = ""
        self.began = time.monotonic()
        self.lines = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._clock = threading.Thread(target=self._watch, daemon=True)
        if not quiet():
            self._clock.start()

    def advance(self, items: int = 1, note: str = "") -> None:
        """Count finished items; `note` is shown on the next line, for example the loss of an epoch."""
        self.done += items
        self.note = note or self.note

    def close(self) -> None:
        """End the stage; print how long it took if a line was printed before."""
        self._ended.set()
        if self._clock.ident is not None:
            self._clock.join()
        if self.lines:
            taken = time.monotonic() - self.began
            rate = f" ({self._rate(taken)})" if self.done and taken > 0 else ""
            say(f"{self.doing}: {self.done:,}{self.unit} in {shown_seconds(taken)}{rate}")

    def line(self, seconds: float) -> str:
        """Format the progress after `seconds`."""
        of = "" if self.total is None else f" of {self.total:,}"
        parts = [f"{self.done:,}{of}{self.unit}"]
        if self.done:
            parts.append(self._rate(seconds))
            if self.total is not None and self.total > self.done:
                parts.append(f"{shown_seconds(seconds * (self.total / self.done - 1))} left")
        if self.note:
            parts.append(self.note)
        return f"{self.doing}: {', '.join(parts)}"

    def _rate(self, seconds: float) -> str:
        rate = self.done / max(seconds, 1e-9)
        return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"

    def _watch(self) -> None:
        if self._ended.wait(BEGINS_AFTER):
            return
        of = "" if self.total is None else f": {self.total:,}{self.unit}"
        say(f"{self.doing}{of}")
        self.lines += 1
        while not self._ended.wait(EVERY):
            say(self.line(time.monotonic() - self.began))
            self.lines += 1


def shown_seconds(seconds: float) -> str:
    """Format a duration: `8 s`, `2 min 5 s`, `1 h 12 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(seconds, 0):.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def track(
    things: Iterable[T], doing: str, total: int | None = None, unit: str = "", each: int = 1
) -> Iterator[T]:
    """Iterate and show progress: a bar on a terminal, lines elsewhere.

    Args:
        things: Iterable.
        doing: Description, as in "Looking for broken images".
        total: Number of items if `len` is not available.
        unit: Name of the items, as in "images".
        each: Items per element, such as the images of a batch; the last element may have fewer.
    """
    known = len(things) * each if isinstance(things, Sized) else None
    total = known if total is None else total
    with progress(doing, total, unit) as advance:
        done = 0
        for thing in things:
            yield thing
            items = each if total is None else min(each, total - done)
            done += items
            advance(items)


@contextmanager
def progress(doing: str, total: int | None = None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show the progress of a stage that is not a loop; yields a function that takes the number of finished items.

    Args:
        doing: Description.
        total: Number of items; None if unknown.
        unit: Name of the items.
    """
    if on_terminal():
        with _bar(doing, total) as advance:
            yield advance
        return
    stage = Stage(doing, total, unit)
    try:
        yield stage.advance
    finally:
        stage.close()


@contextmanager
def _bar(doing: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(doing, total=total, rate="")

        def advance(items: int) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, advance=items, rate=f"{speed:.0f}/s" if speed else "")

        yield advance

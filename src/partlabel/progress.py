"""Progress bars for work that takes a while: with rate and time left on a terminal, nothing anywhere else."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def on_terminal() -> bool:
    """Whether a person is watching."""
    return sys.stderr.isatty()


def track(things: Iterable[T], doing: str, total: int | None = None) -> Iterator[T]:
    """The things, one after the other, with a bar.

    Args:
        things: What is gone through.
        doing: What is being done to them, as in "Looking for broken images".
        total: How many there are, where `len` does not say.
    """
    if not on_terminal():
        yield from things
        return
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
        known = len(things) if isinstance(things, Sized) else None
        task = bar.add_task(doing, total=known if total is None else total, rate="")
        for thing in things:
            yield thing
            speed = bar.tasks[task].speed
            bar.update(task, advance=1, rate=f"{speed:.0f}/s" if speed else "")

"""The verb `bench`: methods compared on the same photos."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from partlabel.cli.commands._shared import read_table
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.bench.grid import Grid

T = TypeVar("T")


def bench(
    table: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    grid: Path | None = None,
    methods: str | None = None,
    known: str | None = None,
    protocols: str | None = None,
    seeds: str | None = None,
    baseline: str | None = None,
    processes: int = 1,
    cache_dir: str | None = None,
    out: Path = Path("runs/bench"),
    *,
    format: dict[str, Any],
) -> None:
    """Compare methods: a grid of methods, known shares, ways to hide and seeds.

    Labels of the part `train` are hidden, methods are trained on frozen features, and scored on the part `test`. What
    is there is not run again.

    Args:
        table: Label table with the parts train and test, all of whose labels are known.
        images: Image folder.
        absent: What a class that is not mentioned means, in formats that list only what is there.
        grid: YAML file of what to compare (docs/bench.md); what follows takes the place of what it says.
        methods: Arms of the grid, as in bce,soft_sst; names of methods where there is no grid.
        known: Shares of labels that stay known, as in 0.1,0.5.
        protocols: Ways to hide: those of the grid, or schemes of `partlabel hide`, as in uniform,single_positive.
        seeds: Of hiding, the validation split and training, as in 0,1,2.
        baseline: The arm that the others are compared to; the first if none.
        processes: At once.
        cache_dir: Folder of the feature cache; the user's if none.
        out: Folder of the results.
        format: Of the table.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from partlabel.bench import pages, runner
    from partlabel.core import safe_loading
    from partlabel.core.progress_bar import track
    from partlabel.training.run_folder import digest

    given = read_table(table, images, absent, format)
    wanted = _grid(
        grid,
        _list("--methods", methods, str),
        _list("--known", known, float),
        _list("--protocols", protocols, str),
        _list("--seeds", seeds, int),
    )
    safe_loading.import_typed(wanted.named, [Path.cwd()])
    names = [arm.name for arm in wanted.arms]
    baseline = baseline or names[0]
    if baseline not in names:
        from partlabel.core.messages import did_you_mean

        raise ValueError(f"--baseline {baseline}: there is no such arm{did_you_mean(baseline, names)}")
    failed = []
    jobs = len(list(wanted.jobs()))
    for job, fault in track(
        runner.run_grid(wanted, given, out, processes, cache_dir), "Running the grid", jobs, "runs"
    ):
        share = "" if job.known is None else f", {100 * job.known:g} % known"
        arms = ", ".join(arm.name for arm in job.arms)
        print(f"{arms} ({job.protocol.name}{share}): {fault or 'done'}", flush=True)
        failed += [fault] if fault else []
    results = runner.Folder(out).gather(runner.cells(wanted, digest(given)))
    if len(results):
        pages.write_tables(results, baseline, out, table.parent.name or table.stem)
        Console().print(Markdown(pages.markdown(results, baseline)))
        print(f"{len(results):,} results in {out / 'results.parquet'}; as pages: results.md, results.html")
        _say_if_mixed(results["versions"].n_unique())
    if failed:
        print(f"partlabel: {len(failed)} of {jobs} jobs failed, and are run again next time", file=sys.stderr)


def _say_if_mixed(versions: int) -> None:
    if versions > 1:
        print(
            f"partlabel: these results were made by {versions} versions of partlabel or of the libraries below it "
            "(column 'versions'); to have them of one, give another --out",
            file=sys.stderr,
        )


def _list(option: str, said: str | None, kind: Callable[[str], T]) -> list[T] | None:
    """What stands between commas.

    Raises:
        ValueError: Something is no number where there has to be one.
    """
    if said is None:
        return None
    try:
        return [kind(word) for word in said.split(",") if word]
    except ValueError:
        raise ValueError(f"{option} {said}: give numbers with commas between them, as in 0.1,0.5") from None


def _grid(
    path: Path | None,
    methods: list[str] | None,
    known: list[float] | None,
    protocols: list[str] | None,
    seeds: list[int] | None,
) -> "Grid":
    """The grid of a file, or of what was typed."""
    from dataclasses import replace

    from partlabel.bench import grid as grids

    if path is None:
        typed = {"known": known, "protocols": protocols, "seeds": seeds}
        arms = {"arms": methods or ["bce", "soft_sst"]}
        return grids.parse(arms | {name: value for name, value in typed.items() if value}, "the options")
    grid = grids.read(path)
    if methods:
        grid = replace(grid, arms=_chosen(grid.arms, methods, "arm", path))
    if protocols:
        grid = replace(grid, protocols=_chosen(grid.protocols, protocols, "protocol", path))
    return replace(grid, known=tuple(known or grid.known), seeds=tuple(seeds or grid.seeds))


def _chosen(things: tuple[Any, ...], names: list[str], what: str, path: Path) -> tuple[Any, ...]:
    """Some of a grid's arms or protocols, and the arms that these are tuned as.

    Raises:
        ValueError: There is no such one.
    """
    from partlabel.core.messages import did_you_mean

    by_name = {thing.name: thing for thing in things}
    for name in names:
        if name not in by_name:
            raise ValueError(f"{path}: there is no {what} {name!r}{did_you_mean(name, by_name)}")
    also = {getattr(by_name[name], "tuned_as", None) for name in names}
    return tuple(thing for thing in things if thing.name in names or thing.name in also)

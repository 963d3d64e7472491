"""Command `bench`: compare methods on the same data."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TableOptions

if TYPE_CHECKING:
    from partlabel.bench.grid import Grid

T = TypeVar("T")


@command("Judge")
def bench(
    data: TableOptions,
    grid: Path | None = None,
    methods: str | None = None,
    known: str | None = None,
    protocols: str | None = None,
    seeds: str | None = None,
    baseline: str | None = None,
    processes: int = 1,
    cache_dir: str | None = None,
    out: Path = Path("runs/bench"),
) -> None:
    """Compare methods on a grid of methods, shares of known labels, ways of hiding labels, and seeds.

    Labels of the part `train` are hidden, methods are trained on frozen features and scored on the part `test`. Results
    that already exist are not computed again.

    Args:
        data: Label table.
        table: Label table with the parts train and test; all labels must be known.
        grid: YAML file with the grid (docs/bench.md); the following options override its values.
        methods: Arms of the grid, such as bce,soft_sst; without a grid, names of methods.
        known: Shares of labels that stay known, such as 0.1,0.5.
        protocols: Ways of hiding labels: those of the grid, or schemes of `partlabel hide`, such as
            uniform,single_positive.
        seeds: Random seeds of hiding, the validation split and training, such as 0,1,2.
        baseline: Arm that the others are compared with; by default the first.
        processes: Number of parallel processes.
        cache_dir: Folder of the feature cache; by default the user's cache folder.
        out: Output folder.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from partlabel.bench import pages, runner
    from partlabel.core import safe_loading
    from partlabel.core.progress_bar import track
    from partlabel.training.run_folder import digest

    given = data.read()
    selected = _grid(
        grid,
        _list("--methods", methods, str),
        _list("--known", known, float),
        _list("--protocols", protocols, str),
        _list("--seeds", seeds, int),
    )
    safe_loading.import_typed(selected.named, [Path.cwd()])
    names = [arm.name for arm in selected.arms]
    baseline = baseline or names[0]
    if baseline not in names:
        from partlabel.core.messages import did_you_mean

        raise ValueError(f"--baseline {baseline}: there is no such arm{did_you_mean(baseline, names)}")
    failed = []
    jobs = len(list(selected.jobs()))
    for job, fault in track(
        runner.run_grid(selected, given, out, processes, cache_dir), "Running the grid", jobs, "runs"
    ):
        share = "" if job.known is None else f", {100 * job.known:g} % known"
        arms = ", ".join(arm.name for arm in job.arms)
        print(f"{arms} ({job.protocol.name}{share}): {fault or 'done'}", flush=True)
        failed += [fault] if fault else []
    results = runner.Folder(out).gather(runner.cells(selected, digest(given)))
    if len(results):
        pages.write_tables(results, baseline, out, data.table.parent.name or data.table.stem)
        Console().print(Markdown(pages.markdown(results, baseline)))
        print(
            f"{len(results):,} results in {out / 'results.parquet'}; tables and plots: results.md, results.html"
        )
        _say_if_mixed(results["versions"].n_unique())
    if failed:
        print(
            f"partlabel: {len(failed)} of {jobs} jobs failed; run the same command again to repeat them",
            file=sys.stderr,
        )


def _say_if_mixed(versions: int) -> None:
    if versions > 1:
        print(
            f"partlabel: these results come from {versions} versions of partlabel or of its dependencies (column "
            "'versions'); to compute all with one version, give another --out",
            file=sys.stderr,
        )


def _list(option: str, text: str | None, kind: Callable[[str], T]) -> list[T] | None:
    """Split a comma-separated list, and convert its items.

    Raises:
        ValueError: An item is not a number where one is needed.
    """
    if text is None:
        return None
    try:
        return [kind(word) for word in text.split(",") if word]
    except ValueError:
        raise ValueError(f"{option} {text}: give numbers separated by commas, such as 0.1,0.5") from None


def _grid(
    path: Path | None,
    methods: list[str] | None,
    known: list[float] | None,
    protocols: list[str] | None,
    seeds: list[int] | None,
) -> "Grid":
    """Read the grid of a file and apply the options, or build a grid from the options."""
    from dataclasses import replace

    from partlabel.bench import grid_file

    if path is None:
        typed = {"known": known, "protocols": protocols, "seeds": seeds}
        arms = {"arms": methods or ["bce", "soft_sst"]}
        return grid_file.parse(arms | {name: value for name, value in typed.items() if value}, "the options")
    grid = grid_file.read(path)
    if methods:
        grid = replace(grid, arms=_chosen(grid.arms, methods, "arm", path))
    if protocols:
        grid = replace(grid, protocols=_chosen(grid.protocols, protocols, "protocol", path))
    return replace(grid, known=tuple(known or grid.known), seeds=tuple(seeds or grid.seeds))


def _chosen(things: tuple[Any, ...], names: list[str], what: str, path: Path) -> tuple[Any, ...]:
    """Select arms or protocols of a grid, with the arms whose tuning they share.

    Raises:
        ValueError: There is no such arm or protocol.
    """
    from partlabel.core.messages import did_you_mean

    by_name = {thing.name: thing for thing in things}
    for name in names:
        if name not in by_name:
            raise ValueError(f"{path}: there is no {what} {name!r}{did_you_mean(name, by_name)}")
    also = {getattr(by_name[name], "tuned_as", None) for name in names}
    return tuple(thing for thing in things if thing.name in names or thing.name in also)

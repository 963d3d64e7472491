"""Command `methods`: list the methods and heads, or the backbones."""

from partlabel.cli.commands._command import command


@command("Judge")
def methods(backbones: bool = False, measure: bool = False) -> None:
    """List the methods: paper, addition to the head, requirements.

    Args:
        backbones: List the backbones that have a short name instead: size, image size, licence of the weights.
        measure: With --backbones: measure the time per photo on this machine, with random weights, by PyTorch and
            compiled by OpenVINO.
    """
    if backbones:
        _list_backbones(measure)
        return
    from rich.console import Console
    from rich.table import Column, Table

    from partlabel import methods as folder
    from partlabel.core.citations import cite, summary
    from partlabel.nn import heads

    listing = Table(
        "--method", Column("name and paper", overflow="fold"), "year", "adds", "needs", show_lines=True
    )
    for name in folder.names():
        method = folder.get(name)
        title, paper, year = cite(method.__doc__ or "")
        listing.add_row(name, f"{title}\n[dim]{paper}[/dim]", year, method.adds, method.needs)
    headings = Table("--head", "description", "default of")
    for name in heads.names():
        users = [method for method in folder.names() if folder.get(method).default_head == name]
        headings.add_row(name, summary(heads.get(name).__doc__ or ""), ", ".join(users))
    Console().print(
        listing, headings, "Options of each: partlabel train --method NAME --head NAME --help", sep="\n"
    )


def _list_backbones(measure: bool) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from partlabel.nn.backbones import ALIASES, backbone_facts
    from partlabel.nn.backbones.timm import installed

    listing = Table(
        "--backbone",
        Column("in timm", overflow="fold"),
        "parameters",
        "download",
        "pixels",
        "ms per photo: eager",
        "compiled",
        Column("licence of the weights", overflow="fold"),
        "features",
        "text encoder exists",
        "measured here",
    )
    for alias in ALIASES:
        found = backbone_facts(alias, measure)
        listing.add_row(
            alias,
            found.model,
            f"{found.parameters / 1e6:.1f} M",
            "installed" if installed(found.model) else f"{found.megabytes:.0f} MB",
            str(found.side),
            *_times(found.speed),
            found.licence or "not stated",
            found.output,
            "yes" if found.text_tower else "no",
            "yes" if found.measured else "no",
        )
    Console().print(listing)


def _times(speed: tuple[float, float | None] | None) -> list[str]:
    """Format the milliseconds of both ways; `-` for those that were not measured."""
    return ["-" if each is None else f"{each:.0f}" for each in speed or (None, None)]

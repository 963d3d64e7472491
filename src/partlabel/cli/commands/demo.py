"""Command `demo`: the whole workflow on drawn scenes."""

from typing import Any

from partlabel.cli.commands._command import command


@command("Judge")
def demo(**options: Any) -> None:
    """Show the whole workflow on drawn scenes, without any data."""
    from partlabel.demo.run import run

    run(**options)

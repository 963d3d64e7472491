"""Templates of this package, for pages (`run_report.py`, `review/`) and model cards (`deploy/hub.py`)."""

from typing import Any

import jinja2


def templates(**options: Any) -> jinja2.Environment:
    """Build the template environment, where undefined names are errors; options are those of `jinja2.Environment`."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("partlabel.reporting"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **{"autoescape": True, **options},
    )

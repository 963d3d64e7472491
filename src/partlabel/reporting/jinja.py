"""How the templates of this package are read, for pages (`report.py`, `review/`) and model cards (`hub.py`)."""

from typing import Any

import jinja2


def templates(**options: Any) -> jinja2.Environment:
    """The templates of this package; a name that a template lacks is an error. Options as of `jinja2.Environment`."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("partlabel.reporting"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **{"autoescape": True, **options},
    )

"""Write a self-contained page."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import Markup

from partlabel.core.files import atomic_write
from partlabel.reporting.jinja import templates


def write_page(out: Path, template: str, shown: Mapping[str, Any]) -> Path:
    """Write a self-contained page.

    Args:
        out: File to write; written completely or not at all.
        template: Name of the template in `templates/`.
        shown: Variables of the template; the script and its hash, for the content security policy, are added.
    """
    pages = templates()
    script = pages.get_template("report.js").render()
    added = {"script": Markup(script), "script_hash": b64encode(sha256(script.encode()).digest()).decode()}
    with atomic_write(out) as aside:
        aside.write_text(pages.get_template(template).render({**shown, **added}), encoding="utf-8")
    return out

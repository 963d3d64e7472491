"""Train a multi-label image recogniser when most labels are missing, and fill the missing ones in.

Names are imported when first used, so that `import partlabel` and `partlabel --help` answer at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:
    from partlabel.core.targets import Targets
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.tagger import Tagger

__version__ = "0.1.0"
__all__ = ["ABSENT", "PRESENT", "UNKNOWN", "LabelTable", "Tagger", "Targets"]

_HOMES = {
    "LabelTable": "partlabel.data.tables.label_table",
    "Tagger": "partlabel.tagger",
    "Targets": "partlabel.core.targets",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

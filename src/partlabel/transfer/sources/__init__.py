"""Evidence sources: one file is one source of log-odds for unknown labels, from what is known at the moment of use.

A source that has learned something without information gets no weight (`transfer/combination.py`), so that sources may
be tried freely. `transfer/teacher.py` fits them together. A user's package adds one by an entry point of the
group `partlabel.sources`.
"""

from partlabel.core import registry
from partlabel.transfer.sources._base import EvidenceSource, Observed

__all__ = ["EvidenceSource", "Observed", "get", "names"]


def names() -> list[str]:
    """Return the names of all sources in alphabetical order."""
    return registry.names(__name__)


def get(name: str) -> type[EvidenceSource]:
    """Return the source of a name, or of a dotted path.

    Raises:
        ValueError: There is no such source; the message suggests the most similar name.
    """
    return registry.find(__name__, name)

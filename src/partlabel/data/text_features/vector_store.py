"""Vectors of texts on disk, beside the feature cache, so that no text is embedded twice.

Each embedder has a folder named by a hash of its name and version. Every file in it holds vectors of texts that no file
before it holds, and hashes of these texts. Texts themselves are not stored; but a person who has a vector, the embedder
and a guess of the text can confirm the guess.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
from jaxtyping import Float16
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from partlabel.core.files import atomic_write, sweep
from partlabel.core.progress_bar import track
from partlabel.data.cache.eviction import locked
from partlabel.data.embedders import Embedder

FOLDER, LOCK = "texts", ".lock"
TEXTS = 64
"""Texts embedded at a time."""
FILE_TEXTS = 4096
"""Texts after which a file is written, so that a killed process loses no more."""
HASH_BYTES = 16
_DAMAGED = (OSError, SafetensorError, KeyError, ValueError, IndexError)
Vectors = Float16[np.ndarray, "text dim"]


def embedded(texts: Sequence[str], embedder: Embedder, home: Path) -> Vectors:
    """Return the unit-norm vector of each text, from disk or embedded now; zeros where the embedder gives zeros.

    Args:
        texts: Texts, at least one.
        embedder: Embedder.
        home: Folder of caches.

    Raises:
        OSError: The folder is not writable, or the disk is full.
    """
    if not embedder.cached:
        return np.concatenate([part for _, part in _batches(texts, embedder)])
    folder = home / FOLDER / _hash(f"{embedder.name} {embedder.version}").hex()
    hashes = [_hash(text) for text in texts]
    known = _stored(folder, set(hashes))
    if lacking := set(hashes) - known.keys():
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK, f"Waiting for the process that embeds texts in {folder}"):
            known |= _stored(folder, lacking)  # by the process that was waited for
            new = {each: text for each, text in zip(hashes, texts, strict=True) if each not in known}
            known |= _embed(new, embedder, folder)
    return np.stack([known[each] for each in hashes])


def _embed(texts: Mapping[bytes, str], embedder: Embedder, folder: Path) -> dict[bytes, np.ndarray]:
    """Embed texts, given by their hashes, and write files; what is done when it is interrupted is written, too."""
    sweep(folder)
    hashes, found = list(texts), dict[bytes, np.ndarray]()
    written = 0

    def write() -> None:
        nonlocal written
        if new := hashes[written : len(found)]:
            _write(folder, new, np.stack([found[each] for each in new]))
            written = len(found)

    try:
        for count, part in _batches(list(texts.values()), embedder):
            found |= zip(hashes[len(found) : count], part, strict=True)
            if count - written >= FILE_TEXTS:
                write()
    finally:
        write()
    return found


def _batches(texts: Sequence[str], embedder: Embedder) -> Iterator[tuple[int, Vectors]]:
    """Embed texts in batches; yields the number of finished texts, and the vectors of a batch."""
    starts = range(0, len(texts), TEXTS)
    for start in track(starts, "Embedding texts", len(texts), "texts", TEXTS):
        found = unit_vectors(texts[start : start + TEXTS], embedder)
        yield start + len(found), found


def unit_vectors(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """Embed texts, without the disk; unit norm, or zeros where the embedder gives zeros."""
    found = embedder.embed([_writable(text) for text in texts])
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(found, length, out=np.zeros_like(found), where=length > 0).astype(np.float16)


def _writable(text: str) -> str:
    """Replace halves of surrogate pairs, which tokenizers refuse."""
    return text.encode(errors="replace").decode()


def _hash(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=HASH_BYTES).digest()


def _stored(folder: Path, wanted: Container[bytes]) -> dict[bytes, np.ndarray]:
    """Read the vectors of some texts by their hashes, from all files of a folder; damaged files are left out."""
    found: dict[bytes, np.ndarray] = {}
    for file in folder.glob("*.safetensors"):
        if file.name.startswith("."):
            continue
        with suppress(*_DAMAGED), safe_open(file, "np") as stored:
            hashes = list(map(bytes, stored.get_tensor("hashes")))
            rows = {each: row for row, each in enumerate(hashes) if each in wanted}
            if rows:
                vectors = stored.get_tensor("vectors")
                found |= {each: vectors[row].copy() for each, row in rows.items()}
    return found


def _write(folder: Path, hashes: Sequence[bytes], vectors: Vectors) -> None:
    name = _hash("".join(each.hex() for each in hashes)).hex()
    keys = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES)
    with atomic_write(folder / f"{name}.safetensors") as aside:
        save_file({"hashes": keys, "vectors": vectors}, aside)

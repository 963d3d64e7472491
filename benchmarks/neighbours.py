r"""Search of similar photos: exactly, by the package, and by libraries for approximate nearest neighbours.

    python benchmarks/neighbours.py features.npz --photos 200000 --out benchmarks/results/neighbours.csv
    python benchmarks/neighbours.py features.npz --photos 1000000 --ways package
    python benchmarks/neighbours.py --table benchmarks/results/neighbours.csv

Features are made from real ones (the array `features` of an .npz file, a row per photo): 256 principal components of a
random photo each, plus noise of half the standard deviation of each component, turned into 1,280 numbers in half
precision. Without a file the components are drawn. Each way runs in a process of its own with one thread; times are
those of the processor, which leave out waiting for other programs. `memory` is what its resident set grows by beyond
the features, at its highest. `recall` is the share of the 20 most similar photos of 200 others that are found.
Libraries: `pip install usearch hnswlib faiss-cpu`; one that is missing is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rows import read, stamp, write

from partlabel.core import similar_rows

PARTS, NUMBERS, NOISE, BLOCK = 256, 1280, 0.5, 8192
QUESTIONS, NEAREST = 200, 20
Search = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One way to search."""

    way: str
    photos: int
    numbers: int
    build_s: float
    memory_mb: float
    ms: float
    slowest_ms: float
    recall: float
    load: float
    features: str
    command: str
    commit: str
    versions: str


def made(photos: int, source: Path | None) -> np.ndarray:
    """Make unit vectors that are distributed as real ones."""
    random = np.random.default_rng(0)
    if source is None:
        parts = random.standard_normal((15_000, PARTS)) / np.sqrt(np.arange(1, PARTS + 1))
    else:
        real = np.load(source)["features"].astype(np.float32)
        real /= np.linalg.norm(real, axis=1, keepdims=True).clip(1e-6)
        parts = real @ np.linalg.eigh(real.T @ real)[1][:, ::-1][:, :PARTS]
    spread = NOISE * parts.std(0)
    turn = np.linalg.qr(random.standard_normal((NUMBERS, PARTS)))[0].T.astype(np.float32)
    found = np.empty((photos, NUMBERS), np.float16)
    for at in range(0, photos, BLOCK):
        count = min(BLOCK, photos - at)
        noisy = parts[random.integers(len(parts), size=count)]
        noisy = (noisy + spread * random.standard_normal((count, PARTS))).astype(np.float32)
        block = noisy @ turn
        found[at : at + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return found


def exact(features: np.ndarray) -> Search:
    """Compare with all photos, as the package does with few."""
    every = np.arange(len(features))
    return lambda row: np.argsort(-similar_rows.cosine(features, row, every))


def package(features: np.ndarray) -> Search:
    """Search as the package does among many photos."""
    index, every = similar_rows.SimilarRows(features), np.ones(len(features), bool)
    return lambda row: index.nearest(row, [every])


def usearch(features: np.ndarray, kind: str) -> Search:
    """Search a graph by usearch."""
    from usearch.index import Index

    index = Index(ndim=features.shape[1], metric="cos", dtype=kind)
    index.add(np.arange(len(features)), features, threads=1)
    return lambda row: index.search(features[row], NEAREST + 1, threads=1).keys


def hnswlib(features: np.ndarray) -> Search:
    """Search a graph by hnswlib, which stores single precision."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=features.shape[1])
    index.init_index(len(features), ef_construction=100, M=16)
    index.set_num_threads(1)
    for at in range(0, len(features), BLOCK):
        index.add_items(
            features[at : at + BLOCK].astype(np.float32), np.arange(at, min(at + BLOCK, len(features)))
        )
    index.set_ef(100)
    return lambda row: index.knn_query(features[row].astype(np.float32), NEAREST + 1)[0][0]


def faiss(features: np.ndarray, kind: str) -> Search:
    """Search an inverted file by faiss."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(features.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    chosen = np.random.default_rng(0).permutation(len(features))[:40_000]
    index.train(features[np.sort(chosen)].astype(np.float32))
    for at in range(0, len(features), BLOCK):
        index.add(features[at : at + BLOCK].astype(np.float32))
    faiss.extract_index_ivf(index).nprobe = 32
    return lambda row: index.search(features[row, None].astype(np.float32), NEAREST + 1)[1][0]


WAYS: dict[str, tuple[str, Callable[[np.ndarray], Search]]] = {
    "exact": ("numpy", exact),
    "package": ("numpy", package),
    "usearch f16": ("usearch", lambda features: usearch(features, "f16")),
    "usearch i8": ("usearch", lambda features: usearch(features, "i8")),
    "hnswlib": ("hnswlib", hnswlib),
    "faiss IVF": ("faiss", lambda features: faiss(features, "IVF1024,SQfp16")),
    "faiss PCA + IVF": ("faiss", lambda features: faiss(features, "PCA128,IVF1024,SQ8")),
}
"""Package that each way needs, and the way: it builds, and returns a search by the row of a photo."""


def resident(name: str) -> float:
    """Return a line of this process's status, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(name))


def measure(way: str, file: Path) -> dict[str, float]:
    """Build and ask one way."""
    features = np.load(file)
    asked = np.sort(np.random.default_rng(1).permutation(len(features))[:QUESTIONS]).tolist()
    truth = nearest(features, asked)
    Path("/proc/self/clear_refs").write_text("5")
    before, began = resident("VmRSS"), time.process_time()
    search = WAYS[way][1](features)
    building = time.process_time() - began
    taken, right = [], 0
    for number, (row, expected) in enumerate(zip(asked, truth, strict=True)):
        if way == "exact" and number >= 10:
            break
        began = time.process_time()
        found = search(row)
        taken.append(1e3 * (time.process_time() - began))
        right += len({*found[: NEAREST + 1].tolist()} - {row} & expected)
    return {
        "build_s": round(building, 1),
        "memory_mb": round(resident("VmHWM") - before),
        "ms": round(float(np.median(taken)), 1),
        "slowest_ms": round(max(taken), 1),
        "recall": round(right / len(taken) / NEAREST, 4),
    }


def nearest(features: np.ndarray, asked: list[int]) -> list[set[int]]:
    """Find the most similar photos by single precision, exactly."""
    own, best = features[asked].astype(np.float32), np.full((len(asked), NEAREST + 1), -np.inf, np.float32)
    names = np.zeros(best.shape, int)
    for at in range(0, len(features), BLOCK):
        score = own @ features[at : at + BLOCK].astype(np.float32).T
        both = np.concatenate([best, score], 1)
        place = np.argpartition(-both, NEAREST + 1, 1)[:, : NEAREST + 1]
        rows = np.concatenate([names, np.broadcast_to(np.arange(at, at + score.shape[1]), score.shape)], 1)
        best, names = np.take_along_axis(both, place, 1), np.take_along_axis(rows, place, 1)
    return [{*found.tolist()} - {row} for row, found in zip(asked, names, strict=True)]


def table(rows: list[Row]) -> str:
    """Format rows as Markdown."""
    lines = [
        "| photos | way | build, s | memory, MB | ms a question | slowest | recall at 20 |",
        "|---" * 7 + "|",
    ]
    for row in rows:
        figures = f"{row.build_s:.0f} | {row.memory_mb:,.0f} | {row.ms:.1f} | {row.slowest_ms:.0f} | {row.recall:.3f}"
        lines.append(f"| {row.photos:,} | {row.way} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or print the table of a file."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("features", nargs="?", type=Path)
    asked.add_argument("--photos", type=int, default=200_000)
    asked.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/neighbours.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    asked.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
    elif args.one:
        print(json.dumps(measure(args.ways[0], args.one)))
    else:
        run(args.features, args.photos, [way for way in args.ways if find_spec(WAYS[way][0])], args.out)


def run(source: Path | None, photos: int, ways: list[str], out: Path) -> None:
    """Measure ways one after the other, each in a process of its own."""
    rows = read(out, Row)
    commit, versions = stamp()
    command = " ".join(["python", "benchmarks/neighbours.py", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        np.save(file, made(photos, source))
        for way in ways:
            call = [sys.executable, __file__, "--ways", way, "--one", str(file)]
            threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            done = subprocess.run(call, capture_output=True, text=True, env=os.environ | threads)
            if done.returncode:
                print(f"{way}: {done.stderr.splitlines()[-1]}", flush=True)
                continue
            figures = json.loads(done.stdout)
            load, name = round(os.getloadavg()[0], 1), "drawn" if source is None else source.stem
            rows.append(
                Row(way=way, photos=photos, numbers=NUMBERS, **figures, load=load, features=name,
                    command=command, commit=commit, versions=versions)
            )  # fmt: skip
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            write(out, rows)


if __name__ == "__main__":
    main()

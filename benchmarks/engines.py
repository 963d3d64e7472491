"""Images per second of prediction, whole and in shards, by this process and by Ray on this machine.

The model is EfficientNet-Lite0 at 224 pixels under a linear head of chance weights: what it says does not matter here.
A first prediction of a few images is not counted. Times count all that a command does after its imports:
loading the model, starting and ending a cluster, cutting, reading, predicting, writing.

OMP_NUM_THREADS=1 python benchmarks/engines.py $PARTLABEL_DATA/coco18/images --out benchmarks/results/engines.csv
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

from partlabel import Tagger
from partlabel.data.images.listing import walk
from partlabel.data.tables import io
from partlabel.nn.classes import Classes
from partlabel.sharded.engines import Engine
from partlabel.sharded.engines.local import Local
from partlabel.sharded.engines.ray import Ray
from partlabel.sharded.job import Job
from partlabel.sharded.run import run as sharded_run
from partlabel.sharded.sources import of_path


def model(folder: Path, classes: int) -> Path:
    """A tagger that has not learned anything."""
    tagger = Tagger([f"class {number}" for number in range(classes)], "bce")
    torch.manual_seed(0)
    tagger.model = tagger.build(Classes(tagger.classes)).eval()
    return tagger.save(folder)


def timed(name: str, images: int, do: Callable[[], object], here: bool = True) -> str:
    """A line of the results; CPU seconds are those of this process, if the work is done `here`."""
    load, wall, own = os.getloadavg()[0], time.perf_counter(), time.process_time()
    do()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    each = f"{images / own:.1f}" if here else ""
    line = f"{name},{images},{wall:.1f},{images / wall:.1f},{each},{load:.1f}"
    print(line, flush=True)
    return line


def look_through(folder: Path, classes: int, shards_: int = 100, rows: int = 1000) -> str:
    """Find the photos near the threshold of one class, by a query over random results; return a line of the results."""
    random = np.random.default_rng(0)
    names = [f"class {number}" for number in range(classes)]
    for number in range(shards_):
        found = random.random((rows, classes), np.float32)
        images = [f"photos/{number:04}/{row:04}.jpg" for row in range(rows)]
        frame = pl.DataFrame({"image": images} | dict(zip(names, found.T, strict=True)))
        io.write_wide(frame, folder / f"{number:012}.parquet")
    query = pl.scan_parquet(folder / "*.parquet").filter(pl.col("class 3").is_between(0.45, 0.55))
    return timed(
        "one class looked through", shards_ * rows, lambda: query.select("image", "class 3").collect()
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--classes", type=int, default=500)
    parser.add_argument("--shard-sizes", type=int, nargs="*", default=[50, 500])
    parser.add_argument("--ray-workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "photos").mkdir()
        for photo in list(walk(asked.photos))[: asked.images]:
            os.symlink((asked.photos / photo).absolute(), folder / "photos" / photo.replace("/", "_"))
        run, photos = model(folder / "run", asked.classes), folder / "photos"
        count = len(list(photos.iterdir()))
        Tagger.load(run).predict([str(path) for path in list(photos.iterdir())[:64]])

        def sharded(engine: Engine, out: str) -> Callable[[], object]:
            return lambda: sharded_run(Job("predict", run, folder / out), of_path(photos), engine)

        lines = ["work,images,seconds,images_per_second,images_per_cpu_second,load"]
        lines.append(timed("whole", count, lambda: Tagger.load(run).predict(photos)))
        for size in asked.shard_sizes:
            lines.append(timed(f"local; shards of {size}", count, sharded(Local(size), f"local{size}")))
        for workers in asked.ray_workers:
            size = max(1, count // (4 * workers))
            engine = Ray(size, workers=workers)
            lines.append(
                timed(
                    f"ray; {workers} workers; shards of {size}",
                    count,
                    sharded(engine, f"ray{workers}"),
                    False,
                )
            )
        lines.append(look_through(folder / "chance", asked.classes))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

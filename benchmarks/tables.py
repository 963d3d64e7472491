"""Label tables of a million images by 500 classes: seconds and peak memory of each thing that is done with them.

The table is drawn with a seed: classes of every frequency, about 3 present an image, a tenth of the labels known. Each
thing is done in a process of its own, whose peak (Linux's `VmHWM`) counts interpreter, libraries and the table itself.
What hides labels hides those of the truth, where all are known.

python benchmarks/tables.py --out benchmarks/results/tables.csv
python benchmarks/tables.py --images 20000 --only read_csv counts
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable

FOLDER_OF = 1000
SEED = 0


def draw(folder: Path, images: int, classes: int) -> None:
    """Draw the truth and what is known of it, by blocks: `truth.npy`, `labels.npy`."""
    import numpy as np

    random = np.random.default_rng(SEED)
    share = 1 / np.arange(1, classes + 1)
    share = np.minimum(3 * share / share.sum(), 0.9)
    truth, labels = (
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.int8, (images, classes))
        for name in ("truth", "labels")
    )
    for start in range(0, images, 50_000):
        shape = (min(50_000, images - start), classes)
        rows = slice(start, start + shape[0])
        truth[rows] = random.random(shape, np.float32) < share
        labels[rows] = np.where(random.random(shape, np.float32) < 0.1, truth[rows], -1)


def names(images: int) -> tuple[str, ...]:
    return tuple(f"photos/{number // FOLDER_OF:04}/{number:07}.jpg" for number in range(images))


def given(folder: Path, name: str = "labels") -> "LabelTable":
    """Build the table as it is after reading."""
    import numpy as np

    from partlabel.data.tables.label_table import LabelTable

    labels = np.load(folder / f"{name}.npy")
    labels.flags.writeable = False
    split = tuple("train" if row % 10 else "test" for row in range(len(labels)))
    return LabelTable(
        names(len(labels)), tuple(f"class {c}" for c in range(labels.shape[1])), labels, split, folder
    )


def read_csv(folder: Path) -> Callable:
    from partlabel.data.tables.label_table import LabelTable

    return lambda: LabelTable.read(folder / "labels.csv")


def read_parquet(folder: Path) -> Callable:
    from partlabel.data.tables.label_table import LabelTable

    return lambda: LabelTable.read(folder / "labels.parquet")


def save_csv(folder: Path) -> Callable:
    table = given(folder)
    return lambda: table.save(folder / "labels.csv")


def save_parquet(folder: Path) -> Callable:
    table = given(folder)
    return lambda: table.save(folder / "labels.parquet")


def inspect(folder: Path) -> Callable:
    """Compute the printed statistics of a table, and whether classes are never present."""
    table = given(folder)
    return lambda: (repr(table), table.known, table.present, table.never_present())


def counts(folder: Path) -> Callable:
    from partlabel.data.tables import statistics

    table = given(folder)
    return lambda: statistics.counts(table.labels)


def cooccurrence(folder: Path) -> Callable:
    from partlabel.data.tables import statistics

    table = given(folder)
    return lambda: statistics.cooccurrence(table.labels)


def cooccurrence_all_known(folder: Path) -> Callable:
    from partlabel.data.tables import statistics

    table = given(folder, "truth")
    return lambda: statistics.cooccurrence(table.labels)


def split(folder: Path) -> Callable:
    from partlabel.data.tables import statistics

    table = given(folder)
    return lambda: statistics.split_stratified(table.labels, 0.1)


def part(folder: Path) -> Callable:
    table = given(folder)
    return lambda: table.part("train")


def hide_uniform(folder: Path) -> Callable:
    table = given(folder, "truth")
    return lambda: table.hide("uniform", known=0.1)


def hide_uniform_in_train(folder: Path) -> Callable:
    table = given(folder, "truth")
    return lambda: table.hide("uniform", part="train", known=0.1)


def hide_per_class(folder: Path) -> Callable:
    table = given(folder, "truth")
    return lambda: table.hide("per_class", rates=[0.1] * len(table.classes))


def hide_single_positive(folder: Path) -> Callable:
    table = given(folder, "truth")
    return lambda: table.hide("single_positive")


def hide_positives_only(folder: Path) -> Callable:
    table = given(folder, "truth")
    return lambda: table.hide("positives_only")


def verb_hide(folder: Path) -> Callable:
    """`partlabel hide`, from file to file."""
    from partlabel.cli.main import main

    words = ["hide", folder / "labels.csv", "--known", "0.5", "--out", folder / "hidden.parquet"]
    return lambda: main([str(word) for word in words])


def cut_csv(folder: Path) -> Callable:
    """Cut the table into shards of a thousand rows, as `partlabel fill --engine` does first."""
    import numpy as np

    from partlabel import sharded
    from partlabel.core.files import write_json
    from partlabel.sharded.partition import cut

    classes = [f"class {c}" for c in range(np.load(folder / "labels.npy", mmap_mode="r").shape[1])]
    write_json(folder / "run" / "config.json", {"classes": classes})
    source = sharded.of_path(folder / "labels.csv")
    return lambda: cut(sharded.Job("fill", folder / "run", folder / "cut"), source, 1000)


def check_files(folder: Path) -> Callable:
    """See that every image is there (as empty files), in folders of a thousand."""
    table = given(folder)
    for start in range(0, len(table), FOLDER_OF):
        (folder / table.images[start]).parent.mkdir(parents=True, exist_ok=True)
    for image in table.images:
        os.close(os.open(folder / image, os.O_CREAT))
    return lambda: table.check_files()


WORK = [save_csv, save_parquet, read_csv, read_parquet, inspect, counts, cooccurrence, cooccurrence_all_known, part,
        split, hide_uniform, hide_uniform_in_train, hide_per_class, hide_single_positive, hide_positives_only,
        verb_hide, cut_csv, check_files]  # fmt: skip


def peak() -> float:
    """GB, of this process, since its start."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e6


def measure(name: str, folder: Path) -> dict[str, float]:
    """In this process: the time of the work alone, and the peak of all of it."""
    do = next(work for work in WORK if work.__name__ == name)(folder)
    before, begin, own = peak(), time.perf_counter(), time.process_time()
    do()
    seconds = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - own}
    return seconds | {"peak_gb": peak(), "peak_gb_before": before}


def main() -> None:
    """Draw the table, measure everything, print and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=500)
    parser.add_argument("--only", nargs="*", default=[work.__name__ for work in WORK])
    parser.add_argument("--folder", type=Path, help="where the table is kept; a temporary folder if none")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure, asked.folder)), file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "labels.npy").exists():
            draw(folder, asked.images, asked.classes)
        lines = ["work,images,classes,seconds,cpu_seconds,peak_gb,load"]
        for name in asked.only:
            command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
            load = os.getloadavg()[0]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            found = json.loads(done.stderr.splitlines()[-1]) if done.returncode == 0 else None
            if found is None:
                print(done.stderr, file=sys.stderr)
                continue
            took = f"{found['seconds']:.1f},{found['cpu_seconds']:.1f},{found['peak_gb']:.2f},{load:.1f}"
            lines.append(f"{name},{asked.images},{asked.classes},{took}")
            print(lines[-1], f"(table at {found['peak_gb_before']:.2f})", flush=True)
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

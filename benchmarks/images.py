"""Images once: how fast they are decoded, what the cache saves an epoch, how busy prediction keeps the backbone.

    OMP_NUM_THREADS=1 python benchmarks/images.py --data coco18 --out benchmarks/results/images.csv

Large photos are made of small ones (36 of them, enlarged, side by side: 4000 by 3000 pixels, JPEG of quality 90) in a
temporary folder. What is compared is measured in turn, round after round, and each figure is the median of its rounds:
on a machine that others use too, both sides of a ratio then suffer alike. Epochs are of the first `--images` training
images, as training runs them (Lightning, optimiser, losses), the time of the second epoch being the difference of runs
of two and of one; an epoch of the whole set is that, times the number of images, and is not run.
"""

import argparse
import copy
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from made_with import commit, versions
from PIL import Image
from torchvision import transforms as plain_transforms
from torchvision.transforms.v2.functional import pil_to_tensor

from partlabel import LabelTable, Tagger
from partlabel.core.types import Preprocessing
from partlabel.data.cache import feature_cache
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.images.dataset import (
    PLAIN,
    BatchRows,
    ImageDataset,
    eval_transform,
    train_transform,
)
from partlabel.data.images.decode import decode
from partlabel.data.images.loader import loader
from partlabel.methods.soft_sst import SoftSST
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.backbones import trunk
from partlabel.nn.classes import Classes
from partlabel.nn.frozen_runtime import CPU_BATCH, MANY
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import method_backbone
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit

SIZE, BATCH = 224, 64
CPU = ", ms of the processor an image"
Measured = dict[str, float]


def in_turn(ways: dict[str, Callable[[], object]], images: int, rounds: int) -> Measured:
    """Images a second of several ways to do one thing, and their cost: medians of rounds, the first not counted."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            taken = clocked(way)
            if number:
                seconds[name].append(taken)
    return rates(seconds, images)


def clocked(way: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of the processor, those of worker processes apart."""
    wall, busy = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - wall, time.process_time() - busy


def rates(seconds: dict[str, list[tuple[float, float]]], images: int) -> Measured:
    """Images a second, and milliseconds of the processor an image: medians."""
    medians = {name: np.median(taken, axis=0) for name, taken in seconds.items()}
    return {name: images / float(wall) for name, (wall, _) in medians.items()} | {
        f"{name}{CPU}": 1e3 * float(busy) / images for name, (_, busy) in medians.items()
    }


def enlarge(photos: Iterable[Path], count: int, folder: Path) -> list[Path]:
    """Large photos, of small ones side by side."""
    photos, made = iter(photos), []
    for number in range(count):
        image = Image.new("RGB", (4000, 3000))
        for place in range(36):
            tile = decode(next(photos)).resize((667, 500), Image.Resampling.BICUBIC)
            image.paste(tile, (place % 6 * 667, place // 6 * 500))
        made.append(folder / f"{number}.jpg")
        image.save(made[-1], quality=90)
    return made


def decoding(photos: list[Path], rounds: int) -> Measured:
    """Plain Pillow and torchvision against ours, from file to normalised tensor; and how far apart the pixels are."""
    expects = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    bicubic = plain_transforms.InterpolationMode.BICUBIC
    theirs = plain_transforms.Compose(
        [
            plain_transforms.Resize((SIZE, SIZE), bicubic),
            plain_transforms.ToTensor(),
            plain_transforms.Normalize(expects.mean, expects.std),
        ]
    )
    own = eval_transform(SIZE, expects)

    def usual(path: Path) -> torch.Tensor:
        return theirs(Image.open(path).convert("RGB"))

    def ours(path: Path) -> torch.Tensor:
        return own(pil_to_tensor(decode(path, 2 * SIZE)))

    speed = in_turn(
        {
            "Pillow and torchvision": lambda: [usual(path) for path in photos],
            "ours": lambda: [ours(path) for path in photos],
        },
        len(photos),
        rounds,
    )
    apart = [
        ((ours(path) - usual(path)) * torch.tensor(expects.std)[:, None, None] * 255).abs() for path in photos
    ]
    return speed | {
        "ratio": speed["ours"] / speed["Pillow and torchvision"],
        "mean difference of pixels, of 255": float(torch.stack([one.mean() for one in apart]).mean()),
        "largest difference of pixels, of 255": float(torch.stack([one.max() for one in apart]).max()),
    }


def epochs(table: LabelTable, trainable: backbones.Trainable, rounds: int, folder: Path) -> Measured:
    """Images a second of an epoch that decodes and of one that reads features, same method and settings."""
    torch.manual_seed(0)
    backbone = backbones.create(trainable=trainable, image_size=SIZE)
    model = SoftSST(backbone, heads.get("residual")(backbone.channels, Classes(table.classes)))
    plain = eval_transform(SIZE, backbone.preprocessing)
    light = train_transform(SIZE, backbone.preprocessing)
    began = time.perf_counter()
    views = feature_cache.compute(backbone, table, plain, light, 2, SIZE, folder)
    computing = time.perf_counter() - began
    datasets = {
        "cached": (FeatureDataset(views, table, np.arange(len(table))), 0),
        "decoding": (ImageDataset(table, plain, light, SIZE), 0),
        "decoding, a worker reads": (ImageDataset(table, plain, light, SIZE), 1),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in datasets}
    for _ in range(rounds):
        for name, (dataset, workers) in datasets.items():
            once, twice = (
                clocked(partial(train, model, dataset, table.classes, name == "cached", workers, count))
                for count in (1, 2)
            )
            taken[name].append((twice[0] - once[0], twice[1] - once[1]))
    speed = rates(taken, len(table))
    return {
        **speed,
        "ratio": speed["cached"] / speed["decoding"],
        "ratio to a worker reading": speed["cached"] / speed["decoding, a worker reads"],
        "ratio in time of the processor": speed[f"decoding{CPU}"] / speed[f"cached{CPU}"],
        "computing a view": 2 * len(table) / computing,
        "KB an image and view": np.dtype(np.float16).itemsize * np.prod(views[0].shape) / 1e3,
    }


def train(
    model: SoftSST, dataset: Any, classes: tuple[str, ...], cached: bool, workers: int, count: int
) -> None:
    """Train for some epochs."""
    config = TrainingConfig(
        epochs=count, batch_size=BATCH, accelerator="cpu", val=0.0, cache="features" if cached else None
    )
    learner = TrainingModule(model, config, classes, [str(row) for row in range(len(dataset))])
    with tempfile.TemporaryDirectory() as folder:
        fit(learner, loader(dataset, BATCH, True, workers=workers), None, Run(folder))


def prediction(tagger: Tagger, photos: list[Path], rounds: int) -> Measured:
    """`predict`, from files to probabilities, against the bare timm model on the same images decoded beforehand."""
    body = trunk(backbones.LITE0, "auto", SIZE).model.eval()
    expects = tagger.view[1]
    table = LabelTable(
        tuple(path.name for path in photos), (), np.zeros((len(photos), 0), np.int8), root=photos[0].parent
    )
    dataset = ImageDataset(table, eval_transform(SIZE, expects), size=SIZE)
    images = dataset[BatchRows(PLAIN, list(range(len(photos))))].inputs

    def bare(batch: int, layout: torch.memory_format) -> None:
        with torch.inference_mode():
            for some in images.split(batch):
                body.to(memory_format=layout).forward_features(some.contiguous(memory_format=layout))

    few, last = CPU_BATCH, torch.channels_last
    eager = copy.deepcopy(tagger)  # whose photos are too few for a graph
    eager.fitted_model().backbone.runtime = None  # type: ignore[assignment]
    method_backbone(tagger.fitted_model()).prepare(SIZE, MANY)
    speed = in_turn(
        {
            f"bare timm, batches of {BATCH}": lambda: bare(BATCH, torch.contiguous_format),
            f"bare timm, batches of {BATCH}, channels last": lambda: bare(BATCH, last),
            f"bare timm, batches of {few}, channels last": lambda: bare(few, last),
            "predict": lambda: tagger.predict(photos, batch_size=BATCH),
            "predict, 1 worker": lambda: tagger.predict(photos, batch_size=BATCH, workers=1),
            "predict by PyTorch": lambda: eager.predict(photos, batch_size=BATCH),
        },
        len(photos),
        rounds,
    )
    fastest = f"bare timm, batches of {few}, channels last"
    return speed | {
        f"predict to bare timm, batches of {BATCH}": speed["predict"]
        / speed[f"bare timm, batches of {BATCH}"],
        f"predict to {fastest}": speed["predict"] / speed[fastest],
        "predict to predict by PyTorch": speed["predict"] / speed["predict by PyTorch"],
        f"predict to {fastest}, in time of the processor": speed[fastest + CPU] / speed["predict" + CPU],
    }


def small_tagger(table: LabelTable, folder: Path) -> Tagger:
    """One that has been trained just enough to predict."""
    return Tagger(table.classes, "soft_sst", image_size=SIZE).fit(
        table, out=folder / "run", epochs=1, weight_decay=0.02, val=0.0, completion=False, accelerator="cpu"
    )


def main() -> None:
    """Measure all, or what is named, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="coco18")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--large", type=int, default=8, help="large photos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["decoding", "epochs", "prediction"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/images.csv"))
    args = parser.parse_args()
    root = Path(os.environ["PARTLABEL_DATA"]) / args.data
    whole = LabelTable.read(root / "labels.csv", images=root).part("train")
    table = whole[np.arange(args.images)]
    table = LabelTable(table.images, table.classes, np.array(table.labels), root=table.root)
    photos = [whole.path(row) for row in range(len(whole))]
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "large").mkdir()
        large = enlarge(photos, args.large, folder / "large")
        if "decoding" in args.parts:
            found["decoding, photos of 4000 x 3000"] = decoding(large, args.rounds)
            found[f"decoding, photos of {args.data}"] = decoding(photos[:128], args.rounds)
        if "epochs" in args.parts:
            for trainable in ("none", "last"):
                found[f"epoch, --trainable {trainable}"] = one = epochs(table, trainable, 2, folder / "cache")
                for name in ("cached", "decoding"):
                    one[f"seconds an epoch of all {len(whole)} images, {name}, extrapolated"] = (
                        len(whole) / one[name]
                    )
        if "prediction" in args.parts:
            copies = [
                Path(shutil.copy(path, folder / f"large/{path.stem}-{copy}.jpg"))
                for copy in range(4)
                for path in large
            ]
            tagger = small_tagger(table[np.arange(64)], folder)
            found[f"predict, photos of {args.data}"] = prediction(tagger, photos[:128], args.rounds)
            found["predict, photos of 4000 x 3000"] = prediction(tagger, copies, args.rounds)
    write(args.out, found)


def write(out: Path, found: dict[str, Measured]) -> None:
    """A row per figure; those measured before that were not measured now stay."""
    about = {
        **versions("torch", "timm", "pillow"), "commit": commit(),
        "threads": torch.get_num_threads(), "cores": os.cpu_count(), "load": [round(one, 1) for one in os.getloadavg()],
    }  # fmt: skip
    rows = [
        {"what": what, "figure": figure, "value": float(f"{value:.4g}"), "versions": json.dumps(about)}
        for what, figures in found.items()
        for figure, value in figures.items()
    ]
    before = pl.read_csv(out).to_dicts() if out.exists() else []
    rows = [row for row in before if row["what"] not in found] + rows
    out.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_csv(out)
    for row in rows:
        print(f"{row['what']}: {row['figure']}: {row['value']}")


if __name__ == "__main__":
    main()

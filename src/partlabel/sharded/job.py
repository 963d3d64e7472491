"""The job that is done for every shard, and its outcome, in types that can be sent to other processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Verb = Literal["predict", "fill"]


@dataclass(frozen=True)
class Job:
    """The work for every shard, in types that can be sent to another process.

    Attributes:
        verb: `predict` or `fill`.
        run: Run folder.
        out: Folder of the results.
        root: Image folder.
        shards: Folder of the shards.
        accept: Threshold for present labels, as in `Tagger.fill`.
        reject: Threshold for absent labels, as in `Tagger.fill`.
        precision: Expected precision of the new present labels within each shard, as in `Tagger.fill`.
        precision_of: Labels that `precision` refers to, as in `Tagger.fill`.
        decide: Whether to predict as `Tagger.decide` does.
        batch_size: Images per batch.
        workers: DataLoader worker processes of each process that predicts; 0 loads in that process.
        skip_broken: Whether to leave out images that cannot be read.
        trust: Whether to trust the model's code, as in `Tagger.load`.
    """

    verb: Verb
    run: Path
    out: Path
    root: Path = Path()
    shards: Path = Path()
    accept: float | Literal["tuned"] | None = None
    reject: float | Literal["tuned"] | None = None
    precision: float | None = None
    precision_of: Literal["overall", "class"] = "overall"
    decide: bool = False
    batch_size: int = 64
    workers: int = 0
    skip_broken: bool = False
    trust: bool = False

    def result(self, shard: str) -> Path:
        """Return the file of a shard's result."""
        return self.out / f"{Path(shard).stem}.parquet"


class ShardResult(NamedTuple):
    """The outcome of a shard.

    Attributes:
        shard: Name of the shard.
        images: Number of images in its result.
        fault: Error in its images or labels that prevented a result; empty if there is none.
    """

    shard: str
    images: int
    fault: str


class Done(NamedTuple):
    """The outcome of a request.

    Attributes:
        out: Folder of the results.
        shards: Number of shards.
        kept: Number of shards that were done before.
        images: Number of images in the results of this run.
    """

    out: Path
    shards: int
    kept: int
    images: int

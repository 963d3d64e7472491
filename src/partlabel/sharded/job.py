"""What is asked of every shard, and what came of it, in terms that other processes understand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Verb = Literal["predict", "fill"]


@dataclass(frozen=True)
class Job:
    """What is done to every shard, in terms that another process understands.

    Attributes:
        verb: `predict` or `fill`.
        run: The run's folder.
        out: The folder that results go to.
        root: The image folder.
        shards: The folder of the shards.
        accept: As `Tagger.fill`.
        reject: As `Tagger.fill`.
        precision: As `Tagger.fill`, in each shard.
        precision_of: As `Tagger.fill`.
        decide: Whether to predict as `Tagger.decide` does.
        batch_size: Images at a time.
        workers: Processes that read images, for each that predicts.
        skip_broken: Leave out images that cannot be read.
        trust: As `Tagger.load`.
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
        """The file that a shard's result is written to."""
        return self.out / f"{Path(shard).stem}.parquet"


class ShardResult(NamedTuple):
    """What came of a shard.

    Attributes:
        shard: Its name.
        images: In its result.
        fault: What is wrong with its images or labels, so that there is no result; empty if nothing is.
    """

    shard: str
    images: int
    fault: str


class Done(NamedTuple):
    """What came of a request.

    Attributes:
        out: The folder of the results.
        shards: How many there are.
        kept: Of them, those that had been done before.
        images: In the results made now.
    """

    out: Path
    shards: int
    kept: int
    images: int

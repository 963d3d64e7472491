"""Processing of all shards by an engine; finished shards of an earlier command are kept, errors reported together."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from partlabel.core.progress_bar import track
from partlabel.sharded.engines import Engine
from partlabel.sharded.job import Done, Job
from partlabel.sharded.partition import cut, listed
from partlabel.sharded.sources import Files, SourceRows


def run(job: Job, source: SourceRows | Files, engine: Engine) -> Done:
    """Process all shards of a source that are not done yet.

    Args:
        job: Work to do; its folder of shards and its image folder are filled in here.
        source: Input.
        engine: Engine that processes the shards.

    Raises:
        ValueError: `out` holds shards of another request, or other files; or images or labels of some shards are
            invalid: the message lists them, and the other shards are done.
        OSError: A folder cannot be read or written; there is no tagger in the run folder.
    """
    _check(job)  # before anything is written
    out = job.out
    names = cut(job, source, engine.shard_size) if isinstance(source, SourceRows) else listed(job, source)
    folder = out / "input" if isinstance(source, SourceRows) else source.paths[0].parent
    # Workers may have another working directory.
    run, root, there = job.run.absolute(), source.root.absolute(), folder.absolute()
    job = replace(job, run=run, out=out.absolute(), root=root, shards=there)
    left = [name for name in names if not _whole(job.result(name))]
    images, faults = 0, []
    for outcome in track(engine.run(job, left), "Working on shards", len(left), "shards"):
        images += outcome.images
        if outcome.fault:
            faults.append(f"  {outcome.shard}: {outcome.fault}")
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(names)} shards failed, the others are in {out}; fix these, and repeat the "
            "command to process them:\n" + "\n".join(sorted(faults))
        )
    return Done(out, len(names), len(names) - len(left), images)


def _check(job: Job) -> None:
    """Check that the tagger can be loaded, and that it has what the job needs; workers load copies of their own."""
    from partlabel.tagger import Tagger

    tagger = Tagger.load(job.run, job.trust)
    if job.decide or "tuned" in (job.accept, job.reject):
        tagger.evidence.tuned()
    if job.verb == "fill":
        tagger.evidence.check_filling(job.accept, job.reject, job.precision)


def _whole(path: Path) -> bool:
    """Return whether a result exists and is complete."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True

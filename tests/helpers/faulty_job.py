"""A job whose workers fail once on request: a killed worker, a full disk."""

import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from partlabel.sharded import Job

KILLED, FULL = "killed", "full"
"""Files beside the results: with the first the next worker that writes is killed, with the second the disk is full."""


@dataclass(frozen=True)
class FaultyJob(Job):
    """A job that fails where a worker asks for the place of a result, just before it writes.

    Attributes:
        asking: The process that gives the job, in which nothing fails.
    """

    asking: int = 0

    def result(self, shard: str) -> Path:
        """Return the place, or fail."""
        killed, full = self.out.with_name(KILLED), self.out.with_name(FULL)
        if os.getpid() != self.asking:
            if killed.exists():
                killed.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if full.exists():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(super().result(shard)))
        return super().result(shard)

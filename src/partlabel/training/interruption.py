"""What stops training from outside, Ctrl-C, a full disk, a vanished image, a reader that dies: said plainly."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer
from torch.distributed import DistError

from partlabel.training.run_folder import Run

INTERRUPTED = "interrupted"


@contextmanager
def stopped_plainly(trainer: Trainer, run: Run) -> Iterator[None]:
    """Says of what stops training from outside where it stopped, and how to go on.

    Whatever error it is, its `after_step` says how many steps had been taken.
    """
    try:
        with _told(trainer, run):
            yield
    except BaseException as error:
        error.after_step = trainer.global_step  # type: ignore[attr-defined]
        raise


@contextmanager
def _told(trainer: Trainer, run: Run) -> Iterator[None]:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (
        KeyboardInterrupt,
        SystemExit,
    ) as stop:  # Lightning makes the one into the other, and is deaf from then on
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt(_stopped(INTERRUPTED, trainer, run)) from stop
    except OSError as error:
        raise OSError(_stopped(_reason(error), trainer, run)) from error
    except RuntimeError as error:
        said = str(error).strip().rstrip(".")
        if "DataLoader worker" in said:
            why = f"a process that reads images died ({said}); if memory is short, give fewer workers (--workers)"
            raise ChildProcessError(_stopped(why, trainer, run)) from error
        if isinstance(error, DistError) or "Connection closed by peer" in said:
            why = "another of the processes that train together stopped, and says why"
            raise ConnectionError(_stopped(why, trainer, run)) from error
        raise


def _reason(error: OSError) -> str:
    """What an error says; of one in another process the last line, below its traceback."""
    return (
        str(error).strip().splitlines()[-1].removeprefix("OSError: ") if str(error).strip() else repr(error)
    )


def _stopped(why: str, trainer: Trainer, run: Run) -> str:
    """Why and where a run stopped, and how it goes on."""
    at = f"training stopped in epoch {trainer.current_epoch + 1}, after step {trainer.global_step}"
    if why != INTERRUPTED and not trainer.global_step and not run.last.exists():
        return f"{why}; training stopped before its first step, and no run is left in {run.folder}"
    how = "goes on after its last whole epoch" if run.last.exists() else "begins anew, for no epoch had ended"
    return f"{why}; {at}; resume=True (--resume) {how} (run folder {run.folder})"

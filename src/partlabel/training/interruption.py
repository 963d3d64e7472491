"""Clear messages for interruptions of training: Ctrl-C, a full disk, a vanished image, a dead worker."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer
from torch.distributed import DistError

from partlabel.training.run_folder import Run

INTERRUPTED = "interrupted"


@contextmanager
def explain_interruptions(trainer: Trainer, run: Run) -> Iterator[None]:
    """Convert interruptions of training to an error that says where it stopped and how to resume."""
    try:
        with _explained(trainer, run):
            yield
    except BaseException as error:
        error.after_step = trainer.global_step  # type: ignore[attr-defined]
        raise


@contextmanager
def _explained(trainer: Trainer, run: Run) -> Iterator[None]:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (
        KeyboardInterrupt,
        SystemExit,
    ) as stop:  # Lightning converts the one to the other, and ignores Ctrl-C from then on
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt(_stopped(INTERRUPTED, trainer, run)) from stop
    except OSError as error:
        raise OSError(_stopped(_reason(error), trainer, run)) from error
    except RuntimeError as error:
        text = str(error).strip().rstrip(".")
        if "DataLoader worker" in text:
            why = f"a process that reads images died ({text}); if memory is short, give fewer workers (--workers)"
            raise ChildProcessError(_stopped(why, trainer, run)) from error
        if isinstance(error, DistError) or "Connection closed by peer" in text:
            why = "another process of the training stopped; its message gives the reason"
            raise ConnectionError(_stopped(why, trainer, run)) from error
        raise


def _reason(error: OSError) -> str:
    """Return the message of an error; for an error in another process, the last line, below its traceback."""
    return (
        str(error).strip().splitlines()[-1].removeprefix("OSError: ") if str(error).strip() else repr(error)
    )


def _stopped(why: str, trainer: Trainer, run: Run) -> str:
    """Format why and where a run stopped, and how to resume it."""
    at = f"training stopped in epoch {trainer.current_epoch + 1}, after step {trainer.global_step}"
    if why != INTERRUPTED and not trainer.global_step and not run.last.exists():
        return f"{why}; training stopped before its first step, and no run is left in {run.folder}"
    how = (
        "continues after the last completed epoch"
        if run.last.exists()
        else "starts again, because no epoch was completed"
    )
    return f"{why}; {at}; resume=True (--resume) {how} (run folder {run.folder})"

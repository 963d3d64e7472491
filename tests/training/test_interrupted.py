"""What stops training from outside is said plainly; the last whole epoch is kept, and the run goes on from there."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch.distributed import DistBackendError

import dying
import partlabel
import together
from interrupted import Stopped, go
from partlabel.methods.bce import BCE
from partlabel.training.callbacks import CheckpointWriter
from partlabel.training.run_folder import Run

GOES_ON = (
    r"; training stopped in epoch 2, after step \d+; "
    r"resume=True \(--resume\) continues after the last completed epoch"
)


def state(run):
    return torch.load(run.last, weights_only=True)


def same_end(whole, broken):
    one, other = state(whole), state(broken)
    assert one["global_step"] == other["global_step"] == 12
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name
    assert whole.history.read_text() == broken.history.read_text()


@pytest.mark.parametrize("epoch", [2, 3], ids=["second epoch", "last epoch"])
@pytest.mark.parametrize("file", ["best.ckpt", "last.ckpt", "history.json"])
def test_a_full_disk_leaves_the_last_epoch_whole(tmp_path, monkeypatch, file, epoch):
    """Half a file is written aside, then there is no more room."""
    save, write = Trainer.save_checkpoint, Run.write_history

    def full(path, number):
        if number == epoch and path.name.startswith(f".{file.removesuffix('.ckpt')}."):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def save_some(trainer, path, *args, **options):
        full(path, trainer.current_epoch + 1)
        save(trainer, path, *args, **options)

    def write_some(run, history, columns):
        if file == "history.json" and len(history) == epoch:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.history))
        write(run, history, columns)

    monkeypatch.setattr(Trainer, "save_checkpoint", save_some)
    monkeypatch.setattr(Run, "write_history", write_some)
    goes_on = GOES_ON.replace("epoch 2", f"epoch {epoch}")
    with pytest.raises(OSError, match=rf"{file}.*{goes_on}|No space left.*{file}.*{goes_on}") as caught:
        go(tmp_path / "broken")
    assert "no space left on device" in str(caught.value).lower()
    assert str(caught.value).count("cannot write") <= 1
    run = Run(tmp_path / "broken")
    assert len(state(run)["history"]) == (epoch if file == "history.json" else epoch - 1)
    torch.load(run.best, weights_only=True)
    assert not list(run.folder.rglob(".*")), "the half is gone"
    monkeypatch.undo()
    same_end(go(tmp_path / "whole"), go(tmp_path / "broken", resume=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_where_it_stopped_and_how_to_go_on(tmp_path, number):
    """In a process of its own: signals are sent to a whole process, which here has run other tests."""
    helpers = Path(together.__file__).parent
    source = str(Path(partlabel.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(helpers / "interrupted.py"), str(tmp_path / "broken"), str(int(number))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([source, str(helpers)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    message, handlers_are_back = json.loads(done.stdout.splitlines()[-1])
    assert re.match(f"interrupted{GOES_ON}", message) and handlers_are_back
    same_end(go(tmp_path / "whole"), go(tmp_path / "broken", kind=Stopped, resume=True))


def test_what_stops_the_first_epoch_begins_anew(tmp_path):
    class Early(BCE):
        def step(self, batch, progress):
            raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"in epoch 1, after step 0; .* starts again, because no epoch was completed"
    ):
        go(tmp_path, kind=Early)


@pytest.mark.parametrize(
    "error", [RuntimeError("pair.cc:561] Connection closed by peer"), DistBackendError("NCCL")]
)
def test_a_process_left_by_the_others_says_so(tmp_path, error):
    class Left(BCE):
        def step(self, batch, progress):
            raise error

    with pytest.raises(
        ConnectionError, match=r"^another process of the training stopped; its message gives the reason; "
    ):
        go(tmp_path, kind=Left)


def test_errors_of_a_method_stay_what_they_are(tmp_path):
    class Wrong(BCE):
        def step(self, batch, progress):
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match=r"^shapes differ$"):
        go(tmp_path, kind=Wrong)


class Deadly(together.Made):
    """Images whose reading kills the process that reads them, once, in the second epoch."""

    def __init__(self, once):
        super().__init__(together.TRAINED, 1)
        self.once = once

    def __getitem__(self, asked):
        if asked.view == 1 and not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(asked)


def test_a_reader_that_dies_is_told_of(tmp_path):
    images = Deadly(tmp_path / "once")
    died = (
        r"^a process that reads images died \(DataLoader worker .*\); if memory is short, give fewer workers"
    )
    with pytest.raises(ChildProcessError, match=died) as caught:
        go(tmp_path / "broken", images, workers=1)
    assert "resume=True (--resume)" in str(caught.value)
    # It read ahead, so it may have died before the first epoch was kept.
    resume = Run(tmp_path / "broken").last.exists()
    same_end(go(tmp_path / "whole"), go(tmp_path / "broken", images, resume=resume, workers=1))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_vanishes_is_named(collection, tmp_path, monkeypatch, workers):
    shutil.copytree(collection, tmp_path / "photos of mine")
    photo = tmp_path / "photos of mine/photos/03.png"
    keep = CheckpointWriter.on_train_epoch_end

    def take_away(self, trainer, module):
        keep(self, trainer, module)
        photo.unlink(missing_ok=True)

    monkeypatch.setattr(CheckpointWriter, "on_train_epoch_end", take_away)
    monkeypatch.setattr("partlabel.reporting.run_report.build", lambda *args, **options: None)
    settings = {"epochs": 3, "val": 0.0, "workers": workers, "cache": "none"}
    with pytest.raises(OSError, match=rf"^{photo}: missing{GOES_ON}") as caught:
        dying.train(tmp_path / "photos of mine", tmp_path / "run", **settings)
    assert "Traceback" not in str(caught.value)
    monkeypatch.setattr(CheckpointWriter, "on_train_epoch_end", keep)
    with pytest.raises(FileNotFoundError, match=r"1 of 32 images are not in .*: 03\.png"):
        dying.train(tmp_path / "photos of mine", tmp_path / "run", resume=True, **settings)
    shutil.copy(collection / "photos/03.png", photo)
    dying.train(tmp_path / "photos of mine", tmp_path / "run", resume=True, **settings)
    assert len(state(Run(tmp_path / "run"))["history"]) == 3

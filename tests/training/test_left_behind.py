"""What a run's folder is after a start that failed, and after it was renamed."""

import pytest

from dying import train
from partlabel import Tagger
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.config import TrainingConfig
from partlabel.training.hardware import check

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64}


def fitted(collection, out, **options):
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    return Tagger(table.classes, "bce", **SMALL).fit(table, out=out, batch_size=8, val=0.2, accelerator="cpu",
                                                     weight_decay=0.02, **options)  # fmt: skip


@pytest.mark.parametrize("mine", [False, True])
def test_a_start_that_fails_before_its_first_step_leaves_no_run(collection, tmp_path, monkeypatch, mine):
    def fail(*args, **options):
        raise ValueError("no such precision")

    monkeypatch.setattr("partlabel.training.trainer.Trainer", fail)
    out = tmp_path / "run"
    if mine:
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="no such precision"):
        fitted(collection, out, epochs=1)
    assert [each.name for each in out.iterdir()] == ["notes.txt"] if mine else not out.exists()
    monkeypatch.undo()
    fitted(collection, out, epochs=1)  # the same command again, without --resume
    assert Tagger.load(out).name == "bce@run"


def test_a_run_that_fails_later_stays(collection, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise OSError("no space left")

    monkeypatch.setattr("partlabel.training.callbacks.CheckpointWriter._write", fail)
    with pytest.raises(
        OSError, match=r"no space left; training stopped in epoch 1, after step \d+; resume=True"
    ):
        fitted(collection, tmp_path / "run", epochs=1)
    assert (tmp_path / "run/config.json").exists()


def test_a_run_that_was_renamed_goes_on(collection, tmp_path):
    train(collection, tmp_path / "before", epochs=1)
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "after/checkpoints/last.ckpt").unlink()  # as of one that was stopped in its first epoch
    tagger = train(collection, tmp_path / "after", resume=True, epochs=1)
    assert tagger.name == "sst@after"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"accelerator": "mps"},
            r"accelerator \(--accelerator\) is 'mps', and this machine has no Apple GPU \(there",
        ),
        ({"accelerator": "cuda0"}, r"is 'cuda0' \(did you mean 'cuda'\?\) \(there are: cpu"),
        ({"devices": 0}, r"devices \(--devices\) is 0; it has to be at least 1, or auto"),
        ({"strategy": "deepspeed"}, "which needs deepspeed, and that is not installed"),
        ({"strategy": "dpp"}, r"which does not exist \(did you mean 'ddp'\?\)"),
    ],
)
def test_what_a_machine_does_not_have_is_said_before_anything_is_written(settings, said, monkeypatch):
    monkeypatch.setattr("partlabel.training.hardware.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=said):
        check(TrainingConfig(**settings))

"""A model fitted again beside a review: what it predicts then, what it gained, and that no answer is lost."""

import re
import threading
from dataclasses import fields

import numpy as np
import pytest
import torch

from partlabel.core.files import write_json
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.review.decisions import DecisionLog
from partlabel.review.predictions_cache import Looked
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.refitting import Refitting, check_refittable
from partlabel.review.retraining import Retraining
from partlabel.review.session import Session
from partlabel.selection.cross_validation import folds
from partlabel.tagger import Tagger
from partlabel.training.config import TrainingConfig
from partlabel.training.run_folder import Run

CLASSES = ("cat", "dog", "hat")
IMAGES = 120


@pytest.fixture
def beside(tmp_path):
    """A review of images whose features say what is in them, by a model that knows nothing; with the truth."""
    random = np.random.default_rng(0)
    features = random.standard_normal((IMAGES, 6)).astype(np.float32)
    truth = np.where(features[:, :3] > 0.3, PRESENT, ABSENT).astype(np.int8)
    labels = np.where(random.random(truth.shape) < 0.15, truth, UNKNOWN).astype(np.int8)
    table = LabelTable(tuple(f"{row}.png" for row in range(IMAGES)), CLASSES, labels)
    norms = np.linalg.norm(features, axis=1)
    looked = Looked(np.zeros(truth.shape, np.float32), (features / norms[:, None]).astype(np.float16), norms)
    session = Session(table, looked, DecisionLog(tmp_path / "decisions.sqlite"))
    fold = folds(torch.from_numpy(labels), 3)
    fit = Refitting(
        table, torch.from_numpy(looked.maps()), np.arange(IMAGES), fold, "bce",
        config=TrainingConfig(completion=False),
    )  # fmt: skip
    yield session, fit, truth
    session.decisions.close()


def answer(session, truth, count):
    """Answer questions rightly."""
    for _ in range(count):
        asked = session.next("desk", "Ada", Wish("random"))
        what = "present" if truth[asked.row, asked.column] == PRESENT else "absent"
        session.answer("desk", "Ada", asked.ask, asked.row, asked.column, what)


def progress_page(session):
    """Return a function that asks for the progress as an open page does every 20 seconds."""
    pytest.importorskip("fastapi")
    pytest.importorskip("python_multipart")
    from fastapi.testclient import TestClient

    from partlabel.core.access_control import Guard
    from partlabel.review.grid_pages import create

    page = create(session, Guard("127.0.0.1", None, "token"), size=12, title="bce@a", port=8765)
    browser = TestClient(page, base_url="http://127.0.0.1:8765")
    return lambda: browser.get("/progress").text


def following(session, fit, every, instead=None):
    """Follow a session; `instead` replaces the fit."""

    class Scripted(Refitting):
        def fit(self, labels):
            return fit.fit(labels) if instead is None else instead(labels)

    made = Retraining(
        session, Scripted(**{each.name: getattr(fit, each.name) for each in fields(fit)}), every
    )
    made.start()
    return made


def test_after_enough_decisions_the_probabilities_are_those_of_a_direct_fit_and_better(beside):
    session, fit, truth = beside
    retraining = following(session, fit, 60)
    session.key("uncertain")
    answer(session, truth, 59)
    page = progress_page(session)
    assert 'role="status"' not in page()
    answer(session, truth, 1)
    retraining.wait()
    direct = fit.fit(session.labels)
    assert np.allclose(session.probability, 1 / (1 + np.exp(-direct.logits)), atol=1e-6)
    unknown = session.labels == UNKNOWN
    assert ((session.probability >= 0.5) == (truth == PRESENT))[unknown].mean() > 0.8
    doubt = np.where(session.blank, np.abs(session.probability - 0.5), np.inf)
    assert np.allclose(session.key("uncertain"), doubt)
    words = session.progress("Ada", ANYTHING).retrained
    known = int((session.labels != UNKNOWN).sum())
    assert f"on {known} known labels, 60 decisions later: cross-validated cross-entropy 0." in words
    (shown,) = re.findall(r'<div class="counts retrained" role="status">(.*?)</div>', page())
    assert shown == words and re.search(r"cross-entropy 0\.\d{3} → 0\.\d{3}, mAP \d+\.\d → \d+\.\d\.$", shown)


def test_answers_and_undo_during_a_fit_are_not_lost_and_two_fits_never_run_at_once(beside):
    session, fit, truth = beside
    going, go, running = threading.Event(), threading.Event(), []

    def slow(labels):
        running.append(threading.current_thread())
        going.set()
        assert go.wait(30)
        return fit.fit(labels)

    retraining = following(session, fit, 5, slow)
    answer(session, truth, 5)
    assert going.wait(30)
    answer(session, truth, 8)
    session.undo("desk", "Ada")
    labels = session.labels.copy()
    assert (labels != session.table.labels).sum() == 12
    go.set()
    retraining.wait()
    assert (session.labels == labels).all()
    assert len(set(running)) == 1
    assert "9 decisions later" in session.retrained  # eight, and one taken back
    assert session.next("desk", "Ada", ANYTHING) is not None


def test_an_error_in_a_fit_is_shown_and_the_review_goes_on(beside):
    session, fit, truth = beside
    before = session.probability.copy()

    def fail(labels):
        raise RuntimeError("no memory left")

    retraining = following(session, fit, 3, fail)
    answer(session, truth, 4)
    retraining.wait()
    assert "could not be fitted again" in session.progress("Ada", ANYTHING).retrained
    assert "no memory left. The review continues" in session.retrained
    assert (session.probability == before).all()


def test_a_model_that_is_no_better_is_not_adopted(beside):
    session, fit, truth = beside
    first = fit.fit(session.labels)

    def worsen(labels):
        return first._replace(
            unseen=first.unseen if (labels == session.table.labels).all() else -first.unseen
        )

    retraining = following(session, fit, 3, worsen)
    answer(session, truth, 3)
    retraining.wait()
    assert session.retrained.endswith("This is no better: the earlier predictions stay.")
    assert (session.probability == 0.5).all()


def test_a_run_that_cannot_be_fitted_again_is_refused_with_the_command_that_trains_one(tmp_path):
    run = Run(tmp_path / "runs" / "a")
    write_json(run.config, {"training": {"teacher_backbone": "resnet18"}, "data": {"images": "my photos"}})
    typed = f"partlabel train {run.labels} --images 'my photos' --head covariance --out {run.folder}-linear"
    for settings, reason in (
        ({"method": "bce", "head": "class_attention"}, f"the head of {run.folder} is class_attention"),
        ({"method": "splc", "head": "average"}, f"{run.folder} was trained by splc"),
        ({"method": "text_prior", "head": "average"}, "needs the tower"),
        ({"method": "bce", "head": "average"}, "the second backbone (--teacher-backbone)"),
    ):
        with pytest.raises(ValueError, match="leave out --retrain, or train a run for it") as raised:
            check_refittable(run, Tagger(CLASSES, **settings), None)
        assert reason in str(raised.value) and str(raised.value).endswith(typed)
    with pytest.raises(ValueError, match="--part is test: leave out --retrain, or give --part train"):
        check_refittable(run, Tagger(CLASSES, "bce"), "test")

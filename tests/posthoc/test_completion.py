import numpy as np
import pytest
import torch

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.posthoc import label_completion
from partlabel.posthoc.label_completion import Completion


def twins(images, seed, known=0.6):
    """Class 1 is what class 0 is, class 2 the opposite of it, and the image shows nothing of any."""
    random = np.random.default_rng(seed)
    first = random.integers(0, 2, images)
    truth = np.stack([first, first, 1 - first, random.integers(0, 2, images)], 1).astype(np.int8)
    labels = np.where(random.random(truth.shape) < known, truth, UNKNOWN).astype(np.int8)
    return np.zeros(truth.shape, np.float32), labels, truth


def test_the_vote_equals_a_double_loop_over_known_labels():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 4)).astype(np.float32)
    labels = random.integers(-1, 2, (3, 4)).astype(np.int8)
    votes = random.normal(size=(4, 4)).astype(np.float32)
    expected = logits.copy()
    for i in range(3):
        for c in range(4):
            for j in range(4):
                if labels[i, j] != UNKNOWN:
                    expected[i, c] += votes[c, j] * (
                        (labels[i, j] == PRESENT) - 1 / (1 + np.exp(-logits[i, j]))
                    )
    np.testing.assert_allclose(Completion(votes).logits(logits, labels), expected, rtol=1e-4, atol=1e-5)


def test_labels_that_go_together_and_that_exclude_each_other_are_found():
    logits, labels, truth = twins(400, 0)
    val_logits, val_labels, _ = twins(100, 1)
    found = label_completion.fit_completion(logits, labels, val_logits, val_labels)
    assert found is not None
    assert found.votes[1, 0] > 1 and found.votes[2, 0] < -1 and (np.diag(found.votes) == 0).all()
    assert abs(found.votes[3, :3]).max() < 0.5
    filled = found.logits(logits, labels)
    told = (labels == UNKNOWN) & (labels[:, :1] != UNKNOWN)  # the first class is known, these are not
    for c in (1, 2):
        assert ((filled[told[:, c], c] > 0) == truth[told[:, c], c]).all()


def test_where_labels_say_nothing_of_each_other_there_are_no_votes():
    random = np.random.default_rng(0)
    labels = random.integers(-1, 2, (60, 5)).astype(np.int8)
    others = random.integers(-1, 2, (4000, 5)).astype(np.int8)
    zeros = np.zeros((60, 5), np.float32)
    assert (
        label_completion.fit_completion(
            zeros, labels, np.zeros((4000, 5), np.float32), others, penalties=[0.3]
        )
        is None
    )


def test_of_too_many_classes_no_votes_are_looked_for(monkeypatch):
    monkeypatch.setattr(label_completion, "MOST_CLASSES", 3)
    logits, labels, _ = twins(40, 0)
    with pytest.warns(
        UserWarning, match=r"no label completion .*: 4 classes are more than 3, and a weight for each pair"
    ):
        assert label_completion.fit_completion(logits, labels, logits, labels) is None


def test_little_is_remembered_while_votes_are_found(monkeypatch):
    """Of the optimiser's two lists of past steps each entry is a vote for every pair of classes."""
    made, kind = [], torch.optim.LBFGS
    monkeypatch.setattr(
        torch.optim, "LBFGS", lambda *given, **more: made.append(kind(*given, **more)) or made[-1]
    )
    logits, labels, _ = twins(60, 0)
    label_completion.fit_completion(logits, labels, logits, labels, penalties=[0.001])
    (state,) = made[0].state.values()
    assert 0 < len(state["old_dirs"]) <= 10 and len(state["old_dirs"]) == len(state["old_stps"])


def test_an_image_with_nothing_known_keeps_its_logits():
    logits = np.array([[0.5, -1.0]], np.float32)
    nothing = np.full((1, 2), UNKNOWN, np.int8)
    assert (Completion(np.ones((2, 2), np.float32)).logits(logits, nothing) == logits).all()


def test_it_is_saved_and_read_back(tmp_path):
    votes = torch.randn(3, 3).numpy()
    Completion(votes).save(tmp_path / "completion.safetensors")
    assert (Completion.load(tmp_path / "completion.safetensors").votes == votes).all()

"""Texts beside the photos as evidence for unknown labels after training."""

import numpy as np
import pytest
import torch

from informed import CLASSES, collection
from partlabel.core.labels import UNKNOWN
from partlabel.core.types import TextFeatures, WordFeatures
from partlabel.posthoc.probability_model import ProbabilityModel
from partlabel.posthoc.text_evidence import TextEvidence, fit_text_evidence


def learned(**options):
    observed, truth = collection(**options)
    found = fit_text_evidence(
        observed.logits.numpy(),
        observed.labels.numpy(),
        WordFeatures(observed.text),
        "words",
        observed.fold.numpy(),
    )
    return observed, truth, found


def test_texts_move_unknown_labels_towards_the_truth():
    observed, truth, (evidence, _) = learned()
    blank = observed.labels == UNKNOWN
    logits = torch.from_numpy(evidence.logits(observed.logits.numpy(), WordFeatures(observed.text)))
    before, after = (
        torch.nn.functional.binary_cross_entropy_with_logits(each[blank], truth[blank])
        for each in (observed.logits, logits)
    )
    assert after < 0.7 * before


def test_texts_of_other_photos_are_no_evidence():
    assert learned(shuffled=True)[2] is None


def test_without_a_known_label_class_names_are_added_to_the_image():
    observed, _, (evidence, odds) = learned(known=0.0)
    assert list(evidence.teacher.parts) == ["recogniser", "class_names"]
    named = observed.text.mentions.bool()
    gain = torch.from_numpy(odds) - observed.logits
    assert gain[named].min() > gain[~named].mean()


@pytest.mark.parametrize("without_text", [0.0, 0.3])
def test_what_is_saved_gives_the_same_logits_again(tmp_path, without_text):
    observed, _, (evidence, _) = learned(without_text=without_text)
    evidence.save(tmp_path / "texts.safetensors")
    again = TextEvidence.load(tmp_path / "texts.safetensors")
    assert (again.embedder, again.text_dim, again.classes) == ("words", evidence.text_dim, CLASSES)
    logits = observed.logits.numpy()
    np.testing.assert_allclose(
        again.logits(logits, WordFeatures(observed.text)),
        evidence.logits(logits, WordFeatures(observed.text)),
        atol=1e-2,
    )


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "texts.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"texts\.safetensors.*copy it again"):
        TextEvidence.load(tmp_path / "texts.safetensors")


def test_shares_say_what_each_source_adds():
    observed, _, (evidence, _) = learned()
    logits = observed.logits.numpy()
    shares = evidence.shares(logits, WordFeatures(observed.text))
    assert list(shares) == ["recogniser", "text", "class_names", "similar_texts"]
    whole = sum(shares.values()) + evidence.teacher.whole.offset.numpy()
    np.testing.assert_allclose(whole, evidence.logits(logits, WordFeatures(observed.text)), atol=1e-4)


def test_a_photo_with_a_mention_becomes_more_probable():
    observed, _, (evidence, _) = learned()
    text, logits = observed.text, observed.logits.numpy()
    named = text._replace(mentions=torch.ones_like(text.mentions))
    silent = text._replace(mentions=torch.zeros_like(text.mentions))
    assert (
        evidence.logits(logits, WordFeatures(named)) >= evidence.logits(logits, WordFeatures(silent)) - 1e-6
    ).all()


def test_probabilities_use_texts_where_they_are_given_and_else_the_image():
    observed, _, (evidence, _) = learned()
    model = ProbabilityModel("tagger", None, None, evidence)
    logits, labels = observed.logits.numpy(), observed.labels.numpy()
    assert model.calibrates_unknown
    np.testing.assert_array_equal(model.informed(logits, labels), logits)
    found = model.probability_with_known(logits, labels, beside=WordFeatures(observed.text))
    np.testing.assert_allclose(
        found, 1 / (1 + np.exp(-evidence.logits(logits, WordFeatures(observed.text)))), atol=1e-6
    )


def test_photos_without_text_do_not_depend_on_the_texts_of_others():
    observed, _, (evidence, _) = learned(without_text=0.5)
    silent = ~observed.text.available
    blank = torch.zeros_like(observed.text.mentions)
    none = TextFeatures(torch.zeros_like(observed.text.vectors), blank, blank, torch.zeros_like(silent))
    logits = observed.logits.numpy()
    np.testing.assert_allclose(
        evidence.logits(logits, WordFeatures(observed.text))[silent],
        evidence.logits(logits, WordFeatures(none))[silent],
        atol=1e-6,
    )


def test_texts_get_no_weight_for_labels_that_are_chance():
    """Each source was fitted to these labels; out of fold it does not repeat them."""
    observed, _, _ = learned()
    labels = torch.randint(0, 2, observed.labels.shape, generator=torch.Generator().manual_seed(4)).to(
        torch.int8
    )
    found = fit_text_evidence(
        observed.logits.numpy(), labels.numpy(), WordFeatures(observed.text), "words", observed.fold.numpy()
    )
    assert found is None


def named(observed, truth, strength=3.0, seed=5):
    """What is beside the photos: nothing but logits by class names, which tell something of the truth."""
    random = torch.Generator().manual_seed(seed)
    return WordFeatures(zero_shot=strength * truth + torch.randn(truth.shape, generator=random))


def test_class_names_alone_are_weighed_against_the_image_and_saved_with_their_tower(tmp_path):
    observed, truth = collection()
    beside = named(observed, truth)
    logits, labels = observed.logits.numpy(), observed.labels.numpy()
    evidence, _ = fit_text_evidence(logits, labels, beside, "words", observed.fold.numpy(), tower="abc")
    assert list(evidence.teacher.weights) == ["recogniser", "zero_shot"]
    assert (evidence.embedder, evidence.text_dim, evidence.no_text(3)) == ("", 0, None)
    evidence.save(tmp_path / "texts.safetensors")
    again = TextEvidence.load(tmp_path / "texts.safetensors")
    assert again.tower == "abc"
    np.testing.assert_allclose(again.logits(logits, beside), evidence.logits(logits, beside), atol=1e-5)
    blank = observed.labels == UNKNOWN
    cost = torch.nn.functional.binary_cross_entropy_with_logits
    found = torch.from_numpy(evidence.logits(logits, beside))
    assert cost(found[blank], truth[blank]) < 0.9 * cost(observed.logits[blank], truth[blank])


def test_texts_and_class_names_are_weighed_together_and_photos_without_text_keep_the_names():
    observed, truth = collection(known=0.9, without_text=0.5)
    text = observed.text
    noise = 3 * torch.randn(text.vectors.shape, generator=torch.Generator().manual_seed(3))
    text = text._replace(vectors=(text.vectors + noise) * text.available[:, None])
    beside = named(observed, truth, 1.0)._replace(text=text)
    logits, labels = observed.logits.numpy(), observed.labels.numpy()
    evidence, _ = fit_text_evidence(logits, labels, beside, "words", observed.fold.numpy(), tower="abc")
    weights = evidence.teacher.weights
    assert weights["zero_shot"] > 0 and weights["text"] + weights["class_names"] > 0
    silent = ~observed.text.available.numpy()
    more = beside._replace(zero_shot=beside.zero_shot + 1)
    moved = evidence.logits(logits, more) - evidence.logits(logits, beside)
    assert (moved[silent] > 0).all() and (moved[~silent] > 0).all()


def test_the_evidence_follows_the_classes_of_a_tagger(tmp_path):
    observed, _, (evidence, _) = learned()
    names, beside = tuple(f"class {at}" for at in range(CLASSES)), WordFeatures(observed.text)
    logits = observed.logits.numpy()
    whole, shares = evidence.logits(logits, beside), evidence.shares(logits, beside)
    moved = evidence.of_columns([2, -1, 0], names).of_columns([2, 0, 1], ("a", "b", "c"))
    moved.save(tmp_path / "texts.safetensors")
    again = TextEvidence.load(tmp_path / "texts.safetensors")
    assert (again.suits, again.columns, again.names) == (3, (0, 2, -1), names)
    given = np.concatenate([logits[:, [0, 2]], logits[:, [1]] + 7], 1)
    np.testing.assert_allclose(again.logits(given, beside)[:, :2], whole[:, [0, 2]], atol=1e-2)
    assert np.array_equal(again.logits(given, beside)[:, 2], given[:, 2]), "a class without evidence stays"
    np.testing.assert_allclose(
        moved.shares(given, beside)["text"][:, :2], shares["text"][:, [0, 2]], atol=1e-4
    )
    assert moved.text_slope(2) is None and torch.equal(moved.text_slope(1), evidence.text_slope(2))

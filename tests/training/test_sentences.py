"""Classifiers that are trained on sentences and applied to images."""

import pytest
import torch
from torch.nn.functional import normalize

from partlabel.evaluation.metrics import average_precision
from partlabel.training.towers import sentences
from partlabel.training.towers.sentences import SEPARATOR, Sentences, mapped, train

SCALE = 10.0


def concepts(shuffled=False):
    """Vectors of 200 images and of 300 sentences about two concepts, with a gap between both kinds."""
    random = torch.Generator().manual_seed(0)
    words, gap = torch.randn(2, 16, generator=random), torch.randn(16, generator=random)

    def draw(count, offset):
        truth = (torch.rand(count, 2, generator=random) < 0.3).float()
        return normalize(
            truth @ words + offset + 0.8 * torch.randn(count, 16, generator=random), dim=1
        ), truth

    (images, shown), (texts, mentions) = draw(200, gap), draw(300, -gap)
    if shuffled:
        mentions = mentions[torch.randperm(300, generator=random)]
    return images, texts, mentions, shown


def classify(images, texts, mentions):
    found = train(texts, mentions)
    return mapped(images, texts, SCALE) @ found.weight.T + found.bias


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_classifier_of_sentences_ranks_images_and_one_of_shuffled_sentences_does_not(shuffled):
    images, texts, mentions, shown = concepts(shuffled)
    logits = classify(images, texts, mentions)
    found = [average_precision(logits[:, c].numpy(), shown[:, c].numpy().astype("int8")) for c in range(2)]
    assert all((each > 0.7) != shuffled for each in found)


def test_an_image_moves_towards_the_sentences_that_are_close_to_it():
    images, texts, _, _ = concepts()
    moved = mapped(images[:3], texts, SCALE)
    for image, found in zip(images[:3], moved, strict=True):
        weights = torch.tensor([float(torch.exp(SCALE * image @ text)) for text in texts])
        near = sum(weight * text for weight, text in zip(weights / weights.sum(), texts, strict=True))
        torch.testing.assert_close(found, 0.7 * image + 0.3 * near / near.norm(), rtol=1e-3, atol=1e-4)


def test_a_class_that_no_sentence_mentions_has_one_score():
    images, texts, mentions, _ = concepts()
    mentions[:, 1] = 0
    logits = classify(images, texts, mentions)
    assert logits[:, 1].std() == 0 and logits.isfinite().all()
    assert train(texts, mentions).taught.tolist() == [True, False]


def test_the_penalty_is_that_of_noise_to_second_order():
    """The fit with the penalty is close to that on many noisy copies, which CoMC trains on."""
    _, texts, mentions, _ = concepts()
    random = torch.Generator().manual_seed(1)
    noisy = texts.repeat(40, 1) + sentences.NOISE * torch.randn(40 * len(texts), 16, generator=random)
    design = sentences.Design.of(noisy)
    targets = sentences.Targets(mentions.repeat(40, 1), torch.ones(len(noisy), 2))
    weight, bias = design.weights(sentences.solve(design, targets, 1e-3, most=300))
    weight = weight * torch.rsqrt(design.variance + sentences.EPSILON)
    images = mapped(texts, texts, SCALE)
    expected = images @ weight.T + bias - weight @ design.mean
    found = classify(texts, texts, mentions)
    for c in range(2):
        both = torch.corrcoef(torch.stack([expected[:, c], found[:, c]]))
        assert both[0, 1] > 0.98


def kept(count=300):
    """Sentences about a cat or a dog, of which few mention the latter."""
    _, vectors, mentions, _ = concepts()
    texts = tuple("a cat here" if row[0] else "nothing" for row in mentions)
    return Sentences(("a dog", *texts[1:count]), vectors[:count])


def test_a_class_that_few_sentences_mention_is_compared_by_its_name():
    images, *_ = concepts()
    cosines = torch.rand(200, 2)
    found = kept().scores(images, cosines, ["cat", "dog"], SCALE)
    assert torch.equal(found[:, 1], cosines[:, 1]) and not torch.equal(found[:, 0], cosines[:, 0])


def test_saved_sentences_give_the_same_scores(tmp_path):
    images, *_ = concepts()
    sentences, cosines = kept(), torch.rand(200, 2)
    sentences.save(tmp_path / "sentences")
    loaded = Sentences.load(tmp_path / "sentences", 16, "align again")
    assert loaded.texts == sentences.texts
    found, expected = (each.scores(images, cosines, ["cat", "dog"], SCALE) for each in (loaded, sentences))
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize("dim", [16, 8])
def test_a_damaged_file_of_sentences_is_refused(tmp_path, dim):
    file = tmp_path / "sentences"
    kept().save(file)
    if dim == 16:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"sentences.*align again"):
        Sentences.load(file, dim, "align again")


def test_at_most_so_many_sentences_are_kept_and_none_for_none():
    vectors = torch.eye(4)
    texts = ["a", f"b{SEPARATOR}b", "c", "d"]
    assert Sentences.some_of(texts, vectors, 2).texts == ("a", "d")
    assert Sentences.some_of(texts, vectors, 9).texts == ("a", "b b", "c", "d")
    assert Sentences.some_of(texts, vectors, 0) is None

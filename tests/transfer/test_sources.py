"""Evidence sources and the teacher that combines them."""

import math
from dataclasses import replace

import pytest
import torch

from informed import CLASSES, DIM, collection
from partlabel.core.labels import UNKNOWN
from partlabel.evaluation.metrics import average_precision
from partlabel.transfer import sources
from partlabel.transfer.soft_memory import SoftMemory
from partlabel.transfer.sources import Observed
from partlabel.transfer.sources._text_classifier import TextClassifier
from partlabel.transfer.sources.class_names import ClassNames
from partlabel.transfer.teacher import Teacher

DIMS = {"classes": CLASSES, "text_dim": DIM, "image_dim": 5, "second_dim": 5}


def mean_ap(scores, truth, labels):
    """Mean AP on the unknown labels."""
    hidden = torch.where(labels == UNKNOWN, truth, torch.tensor(float(UNKNOWN))).to(torch.int8).numpy()
    return sum(average_precision(scores[:, c].numpy(), hidden[:, c]) for c in range(CLASSES)) / CLASSES


@pytest.mark.parametrize("name", sources.names())
def test_the_contract_of_sources_holds(name):
    """Scores have a row per image and a column per class; out-of-fold scores and those of other images are finite."""
    given, _ = collection(without_text=0.2)
    keys = torch.arange(len(given.labels))[:, None] % torch.tensor([7, 11, 13])
    seen = torch.randn(len(given.labels), 5)
    given = replace(given, image=seen, second=seen, zero_shot=given.logits, context=keys)
    source = sources.get(name).create(DIMS)
    assert given.has(source.needs)
    own, other = source.fit(given), source(given)
    assert own.shape == other.shape == given.labels.shape
    assert own.isfinite().all() and other.isfinite().all()
    assert source.available(given).shape == (len(given.labels),)
    again = sources.get(name).create(DIMS)
    again.load_state_dict(source.state_dict())
    torch.testing.assert_close(again(given), other, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        *("text", "similar_texts", "similar_images", "second_backbone", "second_similar_images"),
        *("co_occurrence", "class_prototypes", "context"),
    ],
)
def test_no_label_is_evidence_for_itself(name):
    """The out-of-fold score of a label does not tell whether that label is present."""
    given, _ = collection(known=1.0)
    given = Observed(given.labels, given.targets, given.fold, given.logits, given.text.vectors, given.text)
    dims = {"classes": CLASSES, "text_dim": DIM, "image_dim": DIM, "second_dim": DIM}
    random = torch.randint(0, 2, given.labels.shape, generator=torch.Generator().manual_seed(3))
    labels = random.to(torch.int8)
    given = replace(given, labels=labels, targets=given.targets.known(labels), second=given.image)
    given = replace(given, context=torch.arange(len(labels))[:, None] % torch.tensor([7, 11, 13]))
    scores = sources.get(name).create(dims).fit(given)
    correlation = torch.corrcoef(torch.stack([scores.flatten(), random.flatten().float()]))[0, 1]
    assert correlation < 0.1


def test_a_linear_source_computes_for_new_images_what_the_solver_fitted():
    given, _ = collection(known=1.0)
    linear = TextClassifier(DIM, CLASSES)
    own = linear.fit(given.text.vectors, given.targets, given.fold)
    agreement = torch.corrcoef(torch.stack([own.flatten(), linear(given.text.vectors).flatten()]))[0, 1]
    assert agreement > 0.97


def test_names_need_no_label_and_put_mentions_first():
    given, truth = collection(known=0.0)
    scores = ClassNames(CLASSES, DIM).fit(given)
    named = given.text.mentions.bool()
    assert scores[named].min() > scores[~named].median()
    assert mean_ap(scores, truth, given.labels) > mean_ap(given.text.mentions, truth, given.labels)


def test_a_class_that_no_text_names_is_scored_by_similarity():
    given, _ = collection()
    text = given.text._replace(mentions=given.text.mentions.index_fill(1, torch.tensor([2]), 0.0))
    source = ClassNames(CLASSES, DIM)
    scores = source.fit(Observed(given.labels, given.targets, given.fold, None, None, text))
    torch.testing.assert_close(scores[:, 2].argsort(stable=True), text.similarity[:, 2].argsort(stable=True))


def test_the_teacher_ranks_unknown_labels_better_than_each_source():
    given, truth = collection()
    teacher = Teacher.of(given)
    odds = teacher.fit(given)
    assert list(teacher.parts) == ["recogniser", "co_occurrence", "text", "class_names", "similar_texts"]
    together = mean_ap(odds, truth, given.labels)
    for name in teacher.parts:
        alone = sources.get(name).create(DIMS).fit(given)
        assert together > mean_ap(alone, truth, given.labels) - 0.02, name


def uninformative(kind, seed):
    """A collection whose texts say nothing: of other photos, of another collection, or the same for all photos."""
    given, _ = collection(shuffled=kind == "other photos", seed=seed)
    if kind == "another collection":
        given = replace(given, text=collection(seed=seed + 100)[0].text)
    if kind == "constant":
        text = given.text
        given = replace(given, text=text.rows(torch.zeros(len(text.available), dtype=torch.int64)))
    return given


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["other photos", "another collection", "constant"])
def test_texts_that_say_nothing_have_no_weight(kind, seed):
    given = uninformative(kind, seed)
    teacher = Teacher.of(given)
    odds = teacher.fit(given)
    assert [name for name, weight in teacher.weights.items() if weight] == ["recogniser"]
    plain = Teacher.of(given, ["recogniser"])
    torch.testing.assert_close(odds, plain.fit(given))


def test_a_photo_without_text_is_judged_by_the_image_alone():
    given, _ = collection(without_text=0.5)
    teacher = Teacher.of(given)
    odds = teacher.fit(given)
    plain = Teacher.of(given, ["recogniser"])
    silent = ~given.text.available
    torch.testing.assert_close(odds[silent], plain.fit(given)[silent])
    assert teacher.weights["text"] > 0


def test_sources_in_the_memo_are_not_fitted_again():
    given, _ = collection()
    memo = {}
    first = Teacher.of(given).fit(given, memo)
    assert set(memo) == {"co_occurrence", "text", "class_names", "similar_texts"}
    kept = dict(memo)
    torch.testing.assert_close(Teacher.of(given).fit(given, memo), first)
    assert all(memo[name] is kept[name] for name in kept)


def test_without_labels_the_teacher_has_the_names_alone():
    given, truth = collection(known=0.0)
    given = Observed(given.labels, given.targets, given.fold, None, None, given.text)
    teacher = Teacher.of(given)
    odds = teacher.fit(given)
    assert [name for name, weight in teacher.weights.items() if weight] == ["class_names"]
    assert mean_ap(odds, truth, given.labels) > 0.6


def test_without_labels_mentions_are_added_to_the_recogniser():
    given, _ = collection(known=0.0, without_text=0.5)
    teacher = Teacher.of(given, ["recogniser", "class_names"])
    odds = teacher.fit(given)
    names = ClassNames(CLASSES, DIM).fit(given)
    told = given.text.available
    torch.testing.assert_close(odds[~told], given.logits[~told])
    torch.testing.assert_close(odds[told], given.logits[told] + (names - names[told].mean(0))[told])


def test_without_labels_and_texts_there_is_nothing_to_teach():
    given, _ = collection(known=0.0)
    given = Observed(given.labels, given.targets, given.fold, given.logits, None, None)
    with pytest.raises(ValueError, match="no label is known, and there are no texts"):
        Teacher.of(given).fit(given)


def test_soft_votes_are_the_stated_log_likelihood_ratio():
    random = torch.Generator().manual_seed(0)
    stored, share = torch.randn(6, 3, generator=random), torch.rand(6, 2, generator=random)
    memory = SoftMemory(2, 10, 3)
    memory.store(stored, share)
    votes = memory.votes(stored, 4.0, torch.arange(6))
    unit, kept = memory.features.float(), memory.probability.double()
    for i in range(6):
        for c in range(2):
            near = {
                k: math.exp(4.0 * float(torch.nn.functional.normalize(stored[i], dim=0) @ unit[k]))
                for k in range(6)
                if k != i
            }
            show = sum(float(kept[k, c]) * near[k] for k in near) / float(kept[:, c].sum())
            lack = sum((1 - float(kept[k, c])) * near[k] for k in near) / float((1 - kept[:, c]).sum())
            assert float(votes[i, c]) == pytest.approx(math.log(show / lack), abs=2e-3)


def named(given, truth, noise=1.0, seed=5):
    """What is given, with logits of the class names, which are offset by class; noise alone if `truth` is None."""
    random = torch.randn(given.labels.shape, generator=torch.Generator().manual_seed(seed))
    seen = 0.0 if truth is None else 2 * truth
    return replace(given, zero_shot=seen + noise * random + torch.arange(CLASSES) * 7.0)


def test_similarity_to_names_is_standardised_by_class():
    given, truth = collection()
    given = named(given, truth)
    score = sources.get("zero_shot")(CLASSES).fit(given)
    expected = (given.zero_shot - given.zero_shot.mean(0)) / given.zero_shot.std(0, unbiased=False)
    torch.testing.assert_close(score, expected)


def test_names_inform_the_teacher_and_noise_does_not():
    given, truth = collection()
    given = replace(given, text=None)
    odds = Teacher.of(given).fit(given)
    informed = Teacher.of(named(given, truth))
    better = informed.fit(named(given, truth))
    assert list(informed.parts) == ["recogniser", "co_occurrence", "zero_shot"]
    assert informed.weights["zero_shot"] > 0 == informed.weights["co_occurrence"]
    assert mean_ap(better, truth, given.labels) > mean_ap(odds, truth, given.labels) + 0.05
    misled = Teacher.of(named(given, None))
    torch.testing.assert_close(misled.fit(named(given, None)), odds)
    assert misled.weights["zero_shot"] == 0


def test_without_labels_and_texts_names_teach_alone():
    given, truth = collection(known=0.0)
    given = named(replace(given, logits=None, text=None), truth)
    teacher = Teacher.of(given)
    odds = teacher.fit(given)
    assert teacher.weights == {"zero_shot": 1.0}
    assert mean_ap(odds, truth, given.labels) > 0.7
    share = given.zero_shot.softmax(1).mean(0).clamp(1e-3, 1 - 1e-3)
    torch.testing.assert_close(odds.mean(0), share.logit(), atol=1e-4, rtol=1e-4)


def test_without_labels_mentions_and_similarity_are_added():
    given, truth = collection(known=0.0, without_text=0.3)
    given = named(replace(given, logits=None), truth)
    teacher = Teacher.of(given)
    odds = teacher.fit(given)
    assert {name for name, weight in teacher.weights.items() if weight} == {"class_names", "zero_shot"}
    texts = replace(given, zero_shot=None)
    assert mean_ap(odds, truth, given.labels) > mean_ap(Teacher.of(texts).fit(texts), truth, given.labels)
    silent = ~given.text.available
    torch.testing.assert_close(
        odds[silent].argsort(0), sources.get("zero_shot")(CLASSES).fit(given)[silent].argsort(0)
    )


def test_a_full_memory_keeps_an_evenly_spaced_sample_and_its_own_rows_apart():
    random = torch.Generator().manual_seed(0)
    stored, share = torch.randn(9, 3, generator=random), torch.rand(9, 2, generator=random)
    memory, small = SoftMemory(2, 3, 3), SoftMemory(2, 3, 3)
    memory.store(stored, share)
    assert memory.row.tolist() == [0, 4, 8]
    found = memory.read(torch.tensor([4, 5, 8]))
    assert found.weight[:, 0].tolist() == [1, 0, 1]
    torch.testing.assert_close(found.value[0], share[4], atol=1e-3, rtol=0)
    votes = memory.votes(stored, 4.0, torch.arange(9))
    torch.testing.assert_close(votes[5:6], memory.votes(stored[5:6], 4.0))
    assert not torch.allclose(votes[4:5], memory.votes(stored[4:5], 4.0))
    small.load_state_dict(memory.state_dict())
    torch.testing.assert_close(small.votes(stored, 4.0), memory.votes(stored, 4.0))

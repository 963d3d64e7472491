"""The method `evidence`: soft labels of a teacher with texts train a recogniser that needs the image alone."""

from dataclasses import replace

import pytest
import torch

from informed import CLASSES, collection
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.evaluation.metrics import average_precision
from partlabel.methods.evidence import Evidence, bootstrap
from partlabel.nn.classes import Classes
from partlabel.selection.candidates import Rule, TrainingSet, build
from partlabel.selection.search import search
from partlabel.selection.unlabelled import search_unlabelled
from partlabel.transfer.sources import Observed
from partlabel.transfer.table_kernel import TableKernel
from partlabel.transfer.teacher import Teacher

NAMES = Classes(tuple("abcd"))
DECAY = 0.05


def training_set(with_text=True, **options):
    """Weak features of 300 images with telling texts, and the truth."""
    observed, truth = collection(**options)
    maps = torch.cat(
        [observed.logits, torch.randn(len(truth), 6, generator=torch.Generator().manual_seed(9))], 1
    )
    text = observed.text if with_text else None
    return TrainingSet(maps - maps.min(), maps.shape[1], observed.labels, NAMES, observed.fold, text), truth


def fitted(data, **options):
    method = build(data, Rule("evidence", options), "average", {})
    method.fit_full_batch(data.problem("average", data.design("average", {}), DECAY))
    return method.eval()


def mean_ap(scores, truth):
    truth = truth.to(torch.int8).numpy()
    return (
        sum(average_precision(scores[:, c].detach().numpy(), truth[:, c]) for c in range(CLASSES)) / CLASSES
    )


def test_soft_labels_from_texts_are_better_than_those_without():
    data, truth = training_set(known=0.1)
    silent, _ = training_set(with_text=False, known=0.1)
    blank = data.labels == UNKNOWN
    hidden = torch.where(blank, truth, torch.tensor(float(UNKNOWN)))
    with_text, without = (
        mean_ap(fitted(each).memory.read(torch.arange(300)).value, hidden) for each in (data, silent)
    )
    assert with_text > without + 0.1


def test_photos_of_one_folder_teach_if_the_source_is_named():
    data, truth = training_set(with_text=False)
    pattern = (truth @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long() + 1
    keys = torch.stack([pattern, torch.zeros_like(pattern), torch.zeros_like(pattern)], 1)
    told = replace(data, context=keys)
    blank = data.labels == UNKNOWN
    hidden = torch.where(blank, truth, torch.tensor(float(UNKNOWN)))
    asked, plain = (
        fitted(told, **options).memory.read(torch.arange(300)).value
        for options in ({"sources": "context"}, {})
    )
    assert mean_ap(asked, hidden) > mean_ap(plain, hidden) + 0.1
    torch.testing.assert_close(plain, fitted(data).memory.read(torch.arange(300)).value)
    whole = told.problem("average", told.design("average", {}), DECAY)
    assert torch.equal(
        whole.part(data.fold != 0, data.fold[data.fold != 0], {}).context, keys[data.fold != 0]
    )


def test_a_source_that_does_not_exist_is_refused_with_a_suggestion():
    data, _ = training_set()
    with pytest.raises(ValueError, match=r"there is no source 'contxt'.*'context'"):
        build(data, Rule("evidence", {"sources": "contxt"}), "average", {})


def test_shuffled_texts_change_nothing():
    shuffled, _ = training_set(shuffled=True)
    silent, _ = training_set(with_text=False)
    maps = silent.maps[..., None, None]
    torch.testing.assert_close(fitted(shuffled)(maps), fitted(silent)(maps))


def test_known_labels_are_kept_and_unknown_ones_get_probabilities():
    data, _ = training_set()
    method = fitted(data)
    soft = method.memory.read(torch.arange(300)).value
    blank = data.labels == UNKNOWN
    assert torch.equal(soft[~blank], (data.labels[~blank] == PRESENT).float())
    taught = method.taught(data.problem("average", data.design("average", {}), DECAY)).value[blank]
    assert ((taught > 0) & (taught < 1)).all()
    torch.testing.assert_close(soft[blank], taught, atol=1e-3, rtol=0)


def test_soft_labels_of_several_teachers_are_their_mean_log_odds_each_of_a_sample_of_the_photos():
    data, _ = training_set(known=0.3)
    problem = data.problem("average", data.design("average", {}), DECAY)
    odds = torch.zeros(data.labels.shape)
    for base in bootstrap(Targets.known(data.labels), 2):
        method = build(data, Rule("evidence"), "average", {}).eval()
        given = Observed(
            labels=data.labels,
            targets=base,
            fold=data.fold,
            logits=problem.cross_fit(base),
            image=method.head(problem.maps).image,
            text=data.text,
        )
        odds += Teacher.of(given, method.sources).fit(given) / 2
    several = build(data, Rule("evidence", {"teachers": 2}), "average", {})
    torch.testing.assert_close(several.taught(problem).value, odds.detach().sigmoid(), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="teachers is 0; it has to be at least 1"):
        build(data, Rule("evidence", {"teachers": 0}), "average", {})


def test_a_bootstrap_sample_has_every_photo_a_whole_number_of_times_once_on_average():
    labels = torch.ones(4000, 3)
    one, other = bootstrap(Targets(labels, labels), 2)
    times = one.weight[:, 0]
    assert torch.equal(one.weight, times[:, None].expand(-1, 3)) and torch.equal(times, times.round())
    assert not torch.equal(one.weight, other.weight)
    assert float(times.mean()) == pytest.approx(1, abs=0.08)  # five standard errors, as the next
    assert float((times == 0).float().mean()) == pytest.approx(torch.e**-1, abs=0.04)


def test_prediction_is_the_weighted_sum_of_head_and_votes():
    data, _ = training_set()
    method = fitted(data)
    maps = data.maps[:5, :, None, None]
    out = method.head(maps)
    votes = method.memory.votes(out.image, method.sharpness)
    scores = torch.stack([out.logits, votes])
    standard = (scores - method.centre[:, None]) / method.spread[:, None, None]
    expected = method.weight[0] * standard[0] + method.weight[1] * standard[1] + method.offset
    torch.testing.assert_close(method(maps), expected)


def test_a_copy_with_the_state_that_prediction_needs_predicts_the_same():
    data, _ = training_set()
    method = fitted(data)
    kept = {
        name: value
        for name, value in method.state_dict().items()
        if any(name == part or name.startswith(f"{part}.") for part in method.predicts_with())
    }
    assert method.memories() == ("memory",)  # so that a model card says that photos are remembered
    copy = build(data, Rule("evidence"), "average", {}).eval()
    copy.load_state_dict(kept, strict=False)
    maps = data.maps[:5, :, None, None]
    torch.testing.assert_close(copy(maps), method(maps))


def test_training_by_steps_uses_the_soft_labels_that_the_method_holds():
    data, _ = training_set()
    method = fitted(data)
    batch = Batch(data.maps[:20, :, None, None], data.labels[:20], torch.arange(20))
    step = method.step(batch, Progress())
    pseudo = step.pseudo_labels["evidence"]
    assert torch.equal(pseudo.weight > 0, batch.labels == UNKNOWN)
    whole = Targets.known(batch.labels).fill(pseudo)
    expected = method.bce(method.head(batch.inputs).logits, whole)
    torch.testing.assert_close(step.terms["bce"], expected)


def test_unknown_labels_as_weak_negatives_lower_the_soft_labels():
    data, _ = training_set()
    rows = torch.arange(300)
    blank = data.labels == UNKNOWN
    plain, lowered = (
        fitted(data, **options).memory.read(rows).value[blank] for options in ({}, {"unknown_weight": 0.5})
    )
    assert lowered.mean() < plain.mean() - 0.02


def test_a_weight_outside_its_range_and_a_head_without_image_feature_are_refused():
    data, _ = training_set()
    with pytest.raises(ValueError, match=r"unknown_weight is 2\.0; it has to be from 0 to 1"):
        fitted(data, unknown_weight=2.0)
    head = build(data, Rule("bce"), "average", {}).head
    head.image_dim = 0
    with pytest.raises(ValueError, match="gives no feature of the image"):
        Evidence(torch.nn.Identity(), head)


def test_auto_takes_evidence_where_texts_tell_at_a_lower_cost_than_without_texts():
    rules = (Rule("bce"), Rule("evidence"))
    telling, silent = (
        search(training_set(with_text, known=0.1)[0], rules, ("average",)).winner
        for with_text in (True, False)
    )
    assert telling.rule.method == "evidence"
    assert telling.cost < silent.cost


def test_the_shared_kernel_of_a_search_changes_no_prediction(monkeypatch):
    found = []
    for shared in (True, False):
        monkeypatch.setattr(TableKernel, "suits", staticmethod(lambda images, sharpness, kept=shared: kept))
        found.append(search(training_set(known=0.2)[0], (Rule("evidence"),), ("average",)))
    torch.testing.assert_close(found[0].logits, found[1].logits, atol=1e-3, rtol=1e-3)
    assert found[0].winner.tried == pytest.approx(found[1].winner.tried, abs=1e-5)


def test_without_labels_texts_alone_train_a_recogniser():
    data, truth = training_set(known=0.0)
    found = search_unlabelled(data, "average")
    assert found.known == 0
    assert mean_ap(found.model(data.maps[..., None, None]), truth) > 0.5
    costs = list(found.winner.tried.values())
    assert found.winner.cost == min(costs)


def test_without_labels_photos_without_text_teach_nothing():
    data, _ = training_set(known=0.0)
    text = data.text._replace(available=torch.arange(len(data.labels)) % 2 == 0)
    data = replace(data, text=text)
    method = build(data, Rule("evidence"), "average", {})
    soft = method.taught(data.problem("average", data.design("average", {}), 1.0))
    assert torch.equal(soft.weight > 0, text.available[:, None].expand_as(soft.weight))


def test_without_labels_texts_have_to_do_with_the_classes():
    data, _ = training_set(known=0.0)
    silent = data.text._replace(mentions=torch.zeros(1), similarity=torch.full((1,), 0.2))
    with pytest.raises(ValueError, match="mentions or resembles the name of a class"):
        search_unlabelled(replace(data, text=silent), "average")


def test_without_labels_and_texts_the_message_says_what_to_give():
    data, _ = training_set(known=0.0, with_text=False)
    with pytest.raises(ValueError, match=r"--texts captions\.csv"):
        search_unlabelled(data, "average")

"""What the search picks where the answer is known, and what it leaves."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.nn.classes import Classes
from partlabel.selection import search as searching
from partlabel.selection.candidates import FIXED, Rule, TrainingSet, build, linear_head
from partlabel.selection.criteria import calibrated_cross_entropy, relative_costs, unexplained
from partlabel.selection.cross_validation import FINAL_TOLERANCE, folds, predict
from partlabel.selection.result import load_out_of_fold, save_out_of_fold
from partlabel.selection.search import search


def made(images=400, classes=4, known=0.3, positives_only=False, seed=0):
    """Classes that are linear in rooted features, most of their labels hidden."""
    random = np.random.default_rng(seed)
    rooted = random.random((images, 16)).astype(np.float32)
    logits = 6 * (rooted - 0.5) @ np.random.default_rng(99).normal(size=(16, classes)) - 1
    truth = (random.random(logits.shape) < 1 / (1 + np.exp(-2 * logits))).astype(np.int8)
    hidden = random.random(truth.shape) > known
    if positives_only:
        hidden |= truth == ABSENT
    labels = torch.from_numpy(np.where(hidden, UNKNOWN, truth).astype(np.int8))
    names = tuple(f"class {number}" for number in range(classes))
    return TrainingSet(torch.from_numpy(rooted**2), 16, labels, Classes(names), folds(labels, 3)), truth


def test_unknown_labels_are_ignored_where_labels_were_hidden_by_chance():
    data, _ = made(known=0.3)
    found = search(data, (Rule("bce"), Rule("assume_negative")), ("rooted_average",))
    assert found.winner.rule == Rule("bce")


def test_labels_that_follow_from_rules_are_learned_from_and_not_judged_by():
    data, _ = made()
    given = torch.where(torch.arange(400)[:, None] % 2 == 0, UNKNOWN, data.labels.int()).to(torch.int8)
    judged: list[torch.Tensor] = []

    def criterion(logits, labels):
        judged.append(labels)
        return unexplained(logits, labels)

    both, alone = (
        search(each, (Rule("bce"),), ("average",), criterion=criterion)
        for each in (replace(data, given=given), replace(data, labels=given))
    )
    assert judged and all(torch.equal(labels, given) for labels in judged)
    assert not np.allclose(both.logits, alone.logits), "learned from all"


def test_unknown_labels_are_taken_for_absent_where_only_present_ones_are_known():
    data, _ = made(known=0.5, positives_only=True)
    found = search(data, (Rule("bce"), Rule("assume_negative")), ("rooted_average",))
    assert found.winner.rule == Rule("assume_negative")


def test_the_best_weight_decay_is_never_the_last_that_was_tried():
    data, _ = made()
    found = search(data, FIXED, ("rooted_average",))
    rules = (Rule("bce"), Rule("assume_negative"))
    assert all(rule in [each.rule for each in found.candidates] for rule in rules)
    for each in found.candidates:
        if each.rule in rules:
            assert min(each.tried) < each.weight_decay < max(each.tried), each.rule
        assert each.cost == each.tried[each.weight_decay]


def test_a_weight_decay_below_the_floor_is_taken_only_where_its_gain_is_clear():
    data, truth = made(200, classes=6)
    lab = searching._Lab(data, {}, unexplained)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(truth.shape, generator=random) + 2 * torch.from_numpy(truth)
    noise = torch.randn(truth.shape, generator=random)
    floor = searching.FLOOR / 200 / 6
    alike, worse = logits + 0.02 * noise, logits + 3 * noise
    assert lab.settled({floor / 10: (0.5, logits), floor: (0.500001, alike), 1.0: (0.9, worse)}) == floor
    assert lab.settled({floor / 10: (0.5, logits), floor: (0.9, worse)}) == floor / 10
    assert lab.settled({floor: (0.5, logits), 1.0: (0.500001, alike)}) == floor, "above it, the best"


def test_candidates_are_sorted_and_each_is_tried_once():
    data, _ = made(200)
    found = search(data)
    costs = [each.cost for each in found.candidates[1:]]
    assert costs == sorted(costs), "after the chosen one, which may be one that is as good"
    names = [(str(each.rule), each.head) for each in found.candidates]
    assert len(names) == len(set(names))
    assert {each.rule.method for each in found.candidates} >= {
        "bce",
        "assume_negative",
        "soft_sst",
        "curriculum",
    }


def test_a_rule_that_learns_from_predictions_is_chosen_only_where_it_is_clearly_better():
    data, truth = made(200)
    lab = searching._Lab(data, {}, unexplained)
    plain = lab.candidate(Rule("bce"), "rooted_average", [])
    same = replace(plain, rule=Rule("curriculum"), cost=plain.cost - 1e-6)
    assert lab.chosen([same, plain]) is plain
    better = replace(same, logits=plain.logits + 3 * torch.from_numpy(truth), cost=plain.cost - 0.2)
    assert lab.chosen([better, plain]) is better
    assert lab.chosen([better]) is better, "where nothing else was tried"


def test_the_same_data_give_the_same_choice():
    data, _ = made(150)
    first, again = search(data), search(made(150)[0])
    assert first.to_dict()["winner"]["tried"] == again.to_dict()["winner"]["tried"]
    assert np.array_equal(first.logits, again.logits)


def test_the_winner_is_fitted_to_all_images():
    data, _ = made()
    found = search(data, (Rule("bce"),), ("rooted_average",))
    direct = build(data, Rule("bce"), "rooted_average", {})
    design = data.design("rooted_average", {})
    direct.fit_full_batch(data.problem("rooted_average", design, found.winner.weight_decay, FINAL_TOLERANCE))
    maps = data.maps_of(linear_head("rooted_average"))
    torch.testing.assert_close(predict(found.model, maps), predict(direct, maps))
    assert found.logits.shape == tuple(data.labels.shape)


def test_it_finds_what_ranks_well_on_images_nobody_saw():
    data, _ = made(300, known=0.5)
    fresh, truth = made(500, known=1.0, seed=1)
    found = search(data, (Rule("bce"),), ("rooted_average",))
    said = predict(found.model, fresh.maps_of(linear_head("rooted_average")))
    for number in range(4):  # the rate of correctly ordered pairs
        there = truth[:, number] == PRESENT
        better = said[there, number][:, None] > said[~there, number][None]
        assert better.float().mean() > 0.8


def test_a_head_that_is_not_linear_is_refused():
    with pytest.raises(
        ValueError, match=r"head 'residual' is not linear.*average, covariance, max, rooted_average"
    ):
        linear_head("residual")


def test_with_nothing_unknown_rules_that_are_the_same_are_tried_once():
    data, _ = made(120, known=1.0)
    found = search(data, FIXED, ("rooted_average",))
    assert sorted(str(each.rule) for each in found.candidates) == ["bce", "label_smoothing"]


def test_a_path_goes_on_while_its_strongest_is_best(monkeypatch):
    monkeypatch.setattr(searching, "STRONGEST", 1e-3)
    monkeypatch.setattr(searching, "WEAKEST", 1e-4)
    data, _ = made()
    found = search(data, (Rule("bce"),), ("rooted_average",))
    assert found.winner.weight_decay < max(found.winner.tried)


def test_the_table_names_candidates_and_marks_what_tells_them_apart():
    data, _ = made(100)
    found = search(data, FIXED, ("rooted_average",))
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(found)
    shown = console.export_text()
    assert "3-fold cross-validation" in shown and "100 training images" in shown
    assert "weak_negatives (weight 0.2)" in shown and "assume_negative" in shown
    json.dumps(found.to_dict(), allow_nan=False)


def test_out_of_fold_logits_are_saved_and_loaded(tmp_path):
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    save_out_of_fold(tmp_path / "a.safetensors", logits)
    assert np.array_equal(load_out_of_fold(tmp_path / "a.safetensors")[0], logits)
    (tmp_path / "a.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"a.safetensors is damaged.*train again, or delete it"):
        load_out_of_fold(tmp_path / "a.safetensors")


def mean_relative_cost(logits, labels):
    return float(relative_costs(logits, labels).mean())


def test_a_shift_and_a_common_scale_of_the_logits_do_not_move_the_criterion():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 3, generator=random)
    labels = (torch.rand(300, 3, generator=random) < logits.sigmoid()).to(torch.int8)
    labels[torch.rand(300, 3, generator=random) < 0.5] = UNKNOWN
    moved = 1.7 * logits + torch.tensor([3.0, -2.0, 5.0])
    for criterion in (unexplained, mean_relative_cost, calibrated_cross_entropy):
        assert criterion(moved, labels) == pytest.approx(criterion(logits, labels), rel=5e-3)
    known = labels != UNKNOWN
    raw = [cross_entropy(each[known], (labels[known] == PRESENT).float()) for each in (moved, logits)]
    assert raw[0] > 1.5 * raw[1], "what is not calibrated does move"


def test_the_criterion_of_a_constant_is_one_and_of_better_logits_lower():
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(500, 3, generator=random)
    labels = (torch.rand(500, 3, generator=random) < logits.sigmoid()).to(torch.int8)
    labels[torch.rand(500, 3, generator=random) < 0.5] = UNKNOWN
    assert mean_relative_cost(torch.zeros(500, 3), labels) == pytest.approx(1, abs=0.01)
    assert mean_relative_cost(logits, labels) < 0.9
    noisy = logits + torch.randn(500, 3, generator=random)
    assert mean_relative_cost(logits, labels) < mean_relative_cost(noisy, labels)

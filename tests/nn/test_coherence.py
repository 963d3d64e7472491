"""Coherent probabilities: cases by hand, and properties over random rules."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.core.column_rules import ColumnRules
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import ClassRule, Rules
from partlabel.evaluation.violations import count_violations
from partlabel.nn.coherence import Coherence

LETTERS = tuple("abcdef")


def coherent(rules, names, *values):
    made = Coherence(ColumnRules(Rules(tuple(rules)), tuple(names)))
    return [round(value, 4) for value in made(torch.tensor([values])).tolist()[0]]


def test_a_parent_is_as_probable_as_its_most_probable_descendant():
    rules = [ClassRule("implies", ("a", "b")), ClassRule("implies", ("b", "c"))]
    assert coherent(rules, "abcd", 0.9, 0.2, 0.5, 0.1) == [0.9, 0.9, 0.9, 0.1]
    assert coherent(rules, "abcd", 0.1, 0.2, 0.5, 0.9) == [0.1, 0.2, 0.5, 0.9]


def test_classes_that_exclude_each_other_share_what_there_is():
    assert coherent([ClassRule("excludes", ("a", "b"))], "abc", 0.9, 0.6, 0.8) == [0.6, 0.4, 0.8]
    assert coherent([ClassRule("excludes", ("a", "b"))], "abc", 0.3, 0.6, 0.8) == [0.3, 0.6, 0.8]


def test_one_of_has_the_sum_1_also_where_all_are_improbable():
    rules = [ClassRule("one_of", ("a", "b"))]
    assert coherent(rules, "ab", 0.9, 0.6) == [0.6, 0.4]
    assert coherent(rules, "ab", 0.1, 0.3) == [0.25, 0.75]
    assert coherent(rules, "ab", 0.0, 0.0) == [0.5, 0.5]


def test_a_child_of_an_excluded_class_is_lowered_with_it():
    rules = [ClassRule("implies", ("a", "b")), ClassRule("excludes", ("b", "c"))]
    assert coherent(rules, "abc", 0.9, 0.3, 0.6) == [0.6, 0.6, 0.4]


def test_two_levels_of_scenes():
    rules = [
        ClassRule("one_of", ("kitchen", "bath", "beach")),
        ClassRule("one_of", ("indoor", "outdoor")),
        *(
            ClassRule("implies", names)
            for names in (("kitchen", "indoor"), ("bath", "indoor"), ("beach", "outdoor"))
        ),
    ]
    names = ("kitchen", "bath", "beach", "indoor", "outdoor")
    found = coherent(rules, names, 0.5, 0.4, 0.1, 0.6, 0.9)
    assert abs(sum(found[:3]) - 1) < 1e-3 and abs(sum(found[3:]) - 1) < 1e-3
    assert found[3] >= max(found[:2]) - 1e-3 and found[4] >= found[2] - 1e-3


def test_known_labels_decide_the_others_and_do_not_judge_themselves():
    made = Coherence(ColumnRules(Rules((ClassRule("one_of", ("a", "b", "c")),)), tuple("abc")))
    labels = torch.tensor([[ABSENT, UNKNOWN, UNKNOWN]], dtype=torch.int8)
    found = made.with_known(torch.tensor([[0.8, 0.1, 0.1]]), labels)
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.5, 0.5]]))
    assert PRESENT == 1


def test_logits_of_classes_without_rules_stay_bit_for_bit():
    made = Coherence(ColumnRules(Rules((ClassRule("excludes", ("a", "b")),)), tuple("abc")))
    logits = torch.tensor([[3.0, 2.0, 31.5], [-3.0, -2.0, -31.5]])
    found = made.logits(logits)
    assert torch.equal(found[:, 2], logits[:, 2]) and torch.equal(found[1], logits[1])
    torch.testing.assert_close(found[0, :2].sigmoid().sum(), torch.tensor(1.0))


pair = st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS)).filter(lambda two: two[0] < two[1])
names = st.sets(st.sampled_from(LETTERS), min_size=2, max_size=4).map(lambda found: tuple(sorted(found)))


@st.composite
def column_rules(draw):
    """Rules over six classes that some image can obey; None otherwise."""
    made = [ClassRule("implies", two) for two in draw(st.lists(pair, max_size=4))]
    made += [ClassRule("excludes", each) for each in draw(st.lists(names, max_size=2))]
    made += [ClassRule("one_of", each) for each in draw(st.lists(names, max_size=1))]
    try:
        rules = ColumnRules(Rules(tuple(made)), LETTERS)
        return rules, Coherence(rules)
    except ValueError:
        return None


@settings(max_examples=60, deadline=None)
@given(column_rules(), st.integers(0, 10**6))
def test_no_rule_is_ever_broken_and_coherent_probabilities_stay(made, seed):
    if made is None:
        return
    rules, coherence = made
    generator = torch.Generator().manual_seed(seed)
    given_values = torch.rand(20, 6, generator=generator) ** torch.randint(1, 8, (20, 1), generator=generator)
    found = coherence(given_values)
    assert ((found >= -1e-6) & (found <= 1 + 1e-6)).all()
    assert count_violations(found.numpy(), rules).total == 0
    torch.testing.assert_close(coherence(found), found, atol=2e-5, rtol=0)


def test_violations_are_counted():
    rules = ColumnRules(
        Rules(
            (
                ClassRule("implies", ("a", "b")),
                ClassRule("excludes", ("b", "c")),
                ClassRule("one_of", ("d", "e")),
            )
        ),
        tuple("abcde"),
    )
    found = count_violations(np.array([[0.5, 0.4, 0.7, 0.5, 0.5], [0.1, 0.4, 0.5, 0.5, 0.4]]), rules)
    assert found[:5] == (1, 1, 1, 2, 2)
    assert found.sentence == (
        "3 violations of rules (1 of implies, 1 of excludes, 1 of one_of) in 2 of 2 images"
    )

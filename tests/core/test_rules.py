"""Rules between classes: their form, what is refused, and what follows from labels, by all consistent states."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.core.column_rules import ColumnRules
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import ClassRule, Rules

NAMES = ("puppy", "dog", "animal", "day", "night", "indoor", "outdoor", "street")
RULES = Rules(
    (
        ClassRule("implies", ("puppy", "dog"), 1),
        ClassRule("implies", ("dog", "animal"), 1),
        ClassRule("excludes", ("day", "night"), 2),
        ClassRule("one_of", ("indoor", "outdoor"), 3),
        ClassRule("implies", ("street", "outdoor"), 4),
    )
)


def concluded(rules, names, **known):
    """Conclude from a few labels of one image; return those that are new."""
    labels = np.array([[known.get(name, UNKNOWN) for name in names]], np.int8)
    found = ColumnRules(rules, names).conclude(labels)
    new = (labels == UNKNOWN) & (found.labels != UNKNOWN)
    return {names[at]: int(found.labels[0, at]) for at in np.flatnonzero(new[0])}, found


def test_a_chain_is_followed_up_for_present_and_down_for_absent():
    assert concluded(RULES, NAMES, puppy=PRESENT)[0] == {"dog": PRESENT, "animal": PRESENT}
    assert concluded(RULES, NAMES, animal=ABSENT)[0] == {"dog": ABSENT, "puppy": ABSENT}
    assert concluded(RULES, NAMES, animal=PRESENT, puppy=ABSENT)[0] == {}, "bird, species unknown"


def test_exclusion_and_one_of():
    assert concluded(RULES, NAMES, day=PRESENT)[0] == {"night": ABSENT}
    assert concluded(RULES, NAMES, day=ABSENT)[0] == {}
    assert concluded(RULES, NAMES, indoor=ABSENT)[0] == {"outdoor": PRESENT}
    assert concluded(RULES, NAMES, indoor=PRESENT)[0] == {"outdoor": ABSENT, "street": ABSENT}


def test_the_kind_of_rule_is_recorded():
    _, found = concluded(RULES, NAMES, puppy=PRESENT, day=PRESENT, street=PRESENT)
    kinds = dict(zip(NAMES, found.kinds[0].tolist(), strict=True))
    assert kinds == {
        "puppy": 0,
        "dog": 1,
        "animal": 1,
        "day": 0,
        "night": 2,
        "indoor": 3,
        "outdoor": 1,
        "street": 0,
    }


def test_the_last_of_a_list_is_present():
    rules = Rules((ClassRule("one_of", ("a", "b", "c")), ClassRule("implies", ("c", "d"))))
    assert concluded(rules, tuple("abcd"), a=ABSENT, b=ABSENT)[0] == {"c": PRESENT, "d": PRESENT}
    _, found = concluded(rules, tuple("abcd"), a=ABSENT, b=ABSENT, c=ABSENT)
    assert [each.sentence for each in found.conflicts] == ["a absent, b absent, c absent (one of a, b, c)"]


def test_contradicting_labels_stay_are_listed_and_conclude_nothing():
    new, found = concluded(RULES, NAMES, puppy=PRESENT, animal=ABSENT, day=PRESENT)
    assert new == {"night": ABSENT}, "dog would be present by one label, and absent by the other"
    (conflict,) = found.conflicts
    assert conflict.sentence == "puppy present, animal absent (puppy => dog, dog => animal)"


def test_classes_that_only_the_rules_know_pass_conclusions_on():
    rules = Rules(
        (ClassRule("implies", ("puppy", "dog")), ClassRule("implies", ("dog", "animal"))), names_all=False
    )
    assert concluded(rules, ("puppy", "animal"), puppy=PRESENT)[0] == {"animal": PRESENT}


def test_a_list_that_a_table_has_in_part_only_excludes():
    rules = ColumnRules(Rules((ClassRule("one_of", ("a", "b", "c")),), names_all=False), ("a", "b"))
    assert rules.groups("one_of") == [] and rules.groups("excludes") == [(0, 1)]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            [("implies", "a", "b"), ("implies", "b", "c"), ("implies", "c", "a")],
            "line 1: rules go in a circle: a => b",
        ),
        ([("implies", "a", "a")], "line 1: implies names the class 'a' twice"),
        ([("one_of", "a")], "line 1: one_of has the single class 'a'; list two"),
        (
            [("one_of", "a", "b"), ("one_of", "b", "c")],
            "line 2: 'b' is in two lists of one_of .one of b, c; and one of",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules, message):
    with pytest.raises(ValueError, match=message):
        Rules(tuple(ClassRule(kind, names, line) for line, (kind, *names) in enumerate([(k, *n) for k, *n in rules], 1)
                    for names in [tuple(names)]))  # fmt: skip


def test_a_class_that_can_never_be_present_is_refused_with_its_chain():
    rules = Rules(
        (*RULES.rules, ClassRule("implies", ("puppy", "cat"), 8), ClassRule("excludes", ("dog", "cat"), 9))
    )
    with pytest.raises(
        ValueError, match=r"lines 1 and 8 and 9: 'puppy' can never be present: puppy => .*excludes"
    ):
        ColumnRules(rules, (*NAMES, "cat"))


def test_an_unknown_class_gets_the_most_similar_name():
    with pytest.raises(
        ValueError, match=r"line 1: puppy => dog: the table has no class 'dog' \(did you mean 'dogs'"
    ):
        ColumnRules(RULES, ("puppy", "dogs", "animal"))


def test_rules_are_the_same_after_json():
    again = Rules.from_json(RULES.to_json())
    assert {rule._replace(line=None) for rule in RULES.rules} == set(again.rules)


LETTERS = tuple("abcdef")
pair = st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS)).filter(lambda two: two[0] < two[1])


@st.composite
def rule_sets(draw):
    """Rules without circles (a class implies later letters alone), and the states that obey all of them."""
    implies = [ClassRule("implies", two) for two in draw(st.lists(pair, max_size=4))]
    excludes = [ClassRule("excludes", two) for two in draw(st.lists(pair, max_size=2))]
    one_of = [ClassRule("one_of", tuple(sorted(names))) for names in draw(
        st.lists(st.sets(st.sampled_from(LETTERS), min_size=2, max_size=4), max_size=1))]  # fmt: skip
    rules = Rules((*implies, *excludes, *one_of))
    states = [
        state
        for state in product((0, 1), repeat=len(LETTERS))
        if obeys(rules, dict(zip(LETTERS, state, strict=True)))
    ]
    return rules, np.array(states, np.int8).reshape(-1, len(LETTERS))


def obeys(rules, state):
    for rule in rules.rules:
        values = [state[name] for name in rule.classes]
        if rule.kind == "implies" and values[0] > values[1]:
            return False
        if rule.kind == "excludes" and sum(values) > 1:
            return False
        if rule.kind == "one_of" and sum(values) != 1:
            return False
    return True


@settings(max_examples=40, deadline=None)
@given(rule_sets(), st.integers(0, 10**6), st.floats(0, 1))
def test_what_follows_from_a_part_of_a_consistent_state_is_true_and_final(made, seed, known):
    rules, states = made
    try:
        of = ColumnRules(rules, LETTERS)
    except ValueError:
        return  # a class that can never be present
    if not len(states):
        return
    random = np.random.default_rng(seed)
    truth = states[random.integers(len(states), size=5)]
    labels = np.where(random.random(truth.shape) < known, truth, UNKNOWN).astype(np.int8)
    found = of.conclude(labels)
    assert not found.conflicts
    assert ((found.labels == truth) | (found.labels == UNKNOWN)).all()
    assert (found.labels[labels != UNKNOWN] == labels[labels != UNKNOWN]).all()
    assert (of.conclude(found.labels).labels == found.labels).all()


@settings(max_examples=40, deadline=None)
@given(rule_sets(), st.lists(st.sampled_from([PRESENT, ABSENT, UNKNOWN]), min_size=6, max_size=6))
def test_known_labels_never_change_whatever_they_say(made, labels):
    try:
        of = ColumnRules(made[0], LETTERS)
    except ValueError:
        return
    given_labels = np.array([labels], np.int8)
    found = of.conclude(given_labels)
    known = given_labels != UNKNOWN
    assert (found.labels[known] == given_labels[known]).all()

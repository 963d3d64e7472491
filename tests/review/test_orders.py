"""What each order spends a budget on, counted by hand."""

import numpy as np
import pytest

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.review import ordering, orders
from partlabel.review.orders import Knowledge
from partlabel.review.orders.balanced import Balanced
from partlabel.review.orders.distinct import Distinct
from partlabel.review.orders.handover import Handover
from partlabel.review.orders.missing import Missing
from partlabel.review.orders.mixed import Mixed
from partlabel.review.questions import ANYTHING, Wish


def know(probability, labels=None, features=None):
    """Return what is known where all labels may be asked that are not known."""
    probability = np.asarray(probability, np.float64)
    labels = np.full(probability.shape, UNKNOWN, np.int8) if labels is None else np.asarray(labels, np.int8)
    return Knowledge(probability, labels == UNKNOWN, labels, features)


def asked(order, given):
    """List row and column of all questions of an order."""
    places = ordering.in_order(ordering.masked(order.key(given), given.blank), given.blank)
    return [divmod(place, given.blank.shape[1]) for place in places.tolist()]


def test_turns_hand_over_to_doubt_after_the_expected_presents():
    """0.9 and 0.8 are expected to be 1.7 present labels: one is reached before the third label, not the second."""
    given = know([[0.9], [0.8], [0.7], [0.45], [0.1]])
    assert [row for row, _ in asked(Handover(presents=1), given)] == [0, 1, 3, 2, 4]
    known = know([[0.9], [0.8], [0.7], [0.45], [0.1], [0.0]], [[-1], [-1], [-1], [-1], [-1], [1]])
    assert [row for row, _ in asked(Handover(presents=1), known)] == [3, 2, 1, 0, 4]


def test_probable_and_doubtful_labels_take_turns():
    given = know([[0.9], [0.6], [0.45], [0.1]])
    assert [row for row, _ in asked(Balanced(), given)] == [0, 2, 1, 3]


@pytest.mark.parametrize("order", [Missing, Balanced])
def test_a_class_that_lacks_twice_as_much_is_asked_about_twice_as_often(order):
    labels = np.full((60, 2), UNKNOWN, np.int8)
    labels[:10, 1] = PRESENT
    given = know(np.linspace(0.9, 0.1, 120).reshape(60, 2), labels)
    columns = [column for _, column in asked(order(goal=20), given)][:30]
    assert columns.count(0) == pytest.approx(20, abs=1) and columns.count(1) == pytest.approx(10, abs=1)


def test_photos_that_resemble_an_earlier_or_a_known_one_come_last():
    features = np.eye(5)
    features[1] = features[0]  # the second resembles the first
    features[3] = features[4]  # the fourth one whose label is known
    labels = [[UNKNOWN]] * 4 + [[ABSENT]]
    given = know([[0.9], [0.8], [0.7], [0.6], [0.5]], labels, features)
    assert [row for row, _ in asked(Distinct(), given)] == [0, 2, 1, 3]
    without = know([[0.9], [0.8], [0.7], [0.6], [0.5]], labels)
    assert [row for row, _ in asked(Distinct(), without)] == [0, 1, 2, 3]


def test_a_mixed_budget_holds_both_shares():
    random = np.random.default_rng(0)
    given = know(random.random((200, 4)))
    first = set(asked(Mixed(share=0.25), given)[:100])
    surest = asked(orders.made("class"), given)
    drawn = [
        divmod(place, 4)
        for place in np.argsort(np.random.default_rng(0).random((200, 4)), axis=None).tolist()
    ]
    assert set(surest[:75]) <= first and set(drawn[:25]) <= first


@pytest.mark.parametrize("name", orders.names())
def test_an_order_draws_among_labels_that_may_be_asked(name):
    random = np.random.default_rng(1)
    labels = np.where(random.random((50, 3)) < 0.3, ABSENT, UNKNOWN)
    given = know(random.random((50, 3)), labels, np.eye(50))
    drawn = orders.made(name).drawn(given)
    assert drawn.shape == given.blank.shape and not (drawn & ~given.blank).any()
    assert drawn.any() == (name in ("mixed", "random"))


def test_drawn_labels_are_the_random_share_and_do_not_depend_on_the_prediction():
    """Those of many budgets have the mean probability of all labels that are not asked in turns."""
    probability = np.random.default_rng(0).random((60, 4))
    surest = asked(orders.made("class"), know(probability))
    in_turns = surest[:30]
    others = np.ones(probability.shape, bool)
    others[tuple(zip(*in_turns, strict=True))] = False
    drawn = []
    for seed in range(200):
        given = know(probability)._replace(seed=seed)
        order = Mixed(share=0.25)
        places = ordering.in_order(order.key(given), given.blank)[:40]
        by_chance = order.drawn(given).ravel()[places]
        assert {divmod(place, 4) for place in places[~by_chance].tolist()} <= {*surest[:40]}
        drawn += probability.ravel()[places[by_chance]].tolist()
    assert len(drawn) == pytest.approx(200 * 10 * (1 - 30 / 240 / 2), rel=0.1)
    assert np.mean(drawn) == pytest.approx(probability[others].mean(), abs=0.04)
    assert probability[~others].mean() > probability.mean() + 0.2


def test_an_order_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"there is no order 'handovr'.*'handover'.*there are: balanced, class, "
    ):
        orders.get("handovr")
    assert {*orders.names()} >= {
        "class",
        "uncertain",
        "surest",
        "random",
        "handover",
        "missing",
        "distinct",
        "mixed",
        "balanced",
    }
    assert all(orders.get(name).title for name in orders.names())


def test_a_session_computes_orders_again_as_labels_become_known(session, monkeypatch):
    monkeypatch.setattr("partlabel.review.order_keys.RENEWED", 3)
    for order in ("handover", "missing", "balanced", "distinct"):
        question = session.next("desk", "Ada", Wish(order))
        session.answer("desk", "Ada", question.ask, question.row, question.column, "present")
    column = question.column
    key = session.key("missing")
    assert np.isinf(key[question.row, column])
    again = session.undo("desk", "Ada")
    assert (again.row, again.column) == (question.row, column)
    session.decisions.claim("desk", lambda others, own: None)
    assert session.next("desk", "Ada", Wish("missing"))[1:3] == (question.row, column)
    assert session.progress("Ada", ANYTHING).decided == 3

"""The order of questions against a loop over all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partlabel.review import ordering, orders
from partlabel.review.orders import Knowledge

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 4))


@st.composite
def tables(draw):
    shape = draw(SHAPES)
    probability = draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=16)))
    return probability, draw(arrays(bool, shape))


def key_of(order, probability, blank, seed=0):
    """Return the keys of an order where no label is known, and no features."""
    given = Knowledge(probability, blank, np.full(blank.shape, -1, np.int8), None, seed)
    return ordering.masked(orders.made(order).key(given), blank)


def by_loop(order, probability, blank, turn):
    """List the questions in order, sorted by a loop."""
    cells = [(row, column) for row, column in np.ndindex(blank.shape) if blank[row, column]]
    if order == "uncertain":
        return sorted(cells, key=lambda cell: abs(float(probability[cell]) - 0.5))
    if order == "surest":
        return sorted(cells, key=lambda cell: 1.0 - float(probability[cell]))
    left = {
        column: sorted((c for c in cells if c[1] == column), key=lambda cell: -float(probability[cell]))
        for column in range(blank.shape[1])
    }
    asked = []
    while any(left.values()):
        for waiting in left.values():
            asked += [waiting.pop(0) for _ in range(min(turn, len(waiting)))]
    return asked


@pytest.mark.parametrize("order", ["uncertain", "surest", "class"])
@given(tables())
@settings(max_examples=60, deadline=None)
def test_an_order_is_what_sorting_by_hand_gives(order, made):
    probability, blank = made
    key = (
        np.where(blank, ordering.in_turns(probability, blank, turn=2), np.inf)
        if order == "class"
        else key_of(order, probability.astype(float), blank)
    )
    places = ordering.in_order(key, blank)
    assert [tuple(np.unravel_index(place, blank.shape)) for place in places] == by_loop(
        order, probability, blank, turn=2
    )


@pytest.mark.parametrize("order", orders.names())
@given(tables())
@settings(max_examples=30, deadline=None)
def test_asking_for_the_first_again_and_again_goes_through_the_whole_order(order, made):
    probability, blank = made
    key = key_of(order, probability, blank, seed=3)
    left, asked = blank.copy(), []
    while (cell := ordering.first(key, left)) is not None:
        asked.append(cell[0] * blank.shape[1] + cell[1])
        left[cell] = False
    assert asked == ordering.in_order(key, blank).tolist()
    assert not left.any()


@pytest.mark.parametrize("order", [name for name in orders.names() if orders.get(name).of_itself])
@given(tables())
@settings(max_examples=30, deadline=None)
def test_a_row_alone_has_the_keys_that_it_has_in_the_table(order, made):
    probability, blank = made
    whole = key_of(order, probability, blank)
    for row in range(len(blank)):
        assert np.array_equal(key_of(order, probability[row : row + 1], blank[row : row + 1])[0], whole[row])


def test_what_is_not_blank_is_never_asked_about():
    probability = np.array([[0.5, 0.9]], np.float32)
    key = key_of("uncertain", probability, np.array([[False, True]]))
    assert ordering.first(key, np.array([[True, True]])) == (0, 1)
    assert ordering.first(key, np.array([[True, False]])) is None


def test_classes_take_turns():
    probability = np.array([[0.9, 0.2], [0.8, 0.3], [0.7, 0.4]], np.float32)
    blank = np.ones((3, 2), bool)
    key = ordering.in_turns(probability, blank, turn=2)
    assert ordering.in_order(key, blank).tolist() == [0, 2, 5, 3, 4, 1]


def test_the_random_order_hangs_on_its_seed():
    probability, blank = np.full((5, 4), 0.5, np.float32), np.ones((5, 4), bool)
    one, same, other = (
        ordering.in_order(key_of("random", probability, blank, seed), blank).tolist() for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_range_of_probability_holds_both_its_ends():
    probability = np.array([[0.1, 0.2, 0.5, 0.8]], np.float64)
    assert ordering.between(probability, 0.2, 0.5).tolist() == [[False, True, True, False]]

"""How many filled labels are right, and which are filled at a precision."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made import made, sigmoid
from partlabel.core.labels import PRESENT
from partlabel.priors.correcting import correct
from partlabel.priors.expected import Expected, accepted, expected_right, moderated


def by_hand(p, precision):
    """Find the longest list from the top whose mean is at least the precision."""
    ordered = sorted(p, reverse=True)
    longest = [n for n in range(1, len(p) + 1) if np.mean(ordered[:n]) >= precision]
    return max(longest, default=0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.01, 0.99).map(lambda p: round(p, 3)), min_size=1, max_size=30, unique=True),
    st.floats(0.5, 0.99),
)
def test_as_many_labels_are_accepted_as_the_precision_allows(p, precision):
    matrix = np.array(p)[:, None]
    from_ = accepted(matrix, np.ones(matrix.shape, bool), precision)
    assert int((matrix >= from_).sum()) == by_hand(p, precision)


def test_a_precision_of_each_class_and_of_all():
    p = np.array([[0.99, 0.60], [0.95, 0.55], [0.85, 0.10]])
    blank = np.ones(p.shape, bool)
    by_class = accepted(p, blank, 0.9, "class")
    assert by_class[0] == 0.85 and np.isinf(by_class[1]), "0.93 on average; of the other class none"
    overall = accepted(p, blank, 0.84, "overall")
    np.testing.assert_allclose(overall, [0.85, 0.60])  # (0.99 + 0.95 + 0.85 + 0.60) / 4 = 0.8475


def test_labels_that_are_known_are_no_matter():
    p = np.array([[0.99], [0.99], [0.5]])
    assert np.isinf(accepted(p, np.array([[False], [False], [True]]), 0.9)[0])


@pytest.mark.parametrize("precision", [0.0, 1.0, 95.0])
def test_a_precision_that_is_no_share_is_refused(precision):
    with pytest.raises(
        ValueError, match=f"precision is {precision}; it is a share of correct labels, between"
    ):
        accepted(np.full((1, 1), 0.5), np.ones((1, 1), bool), precision)


def test_the_expected_number_is_the_sum_of_probabilities():
    p = np.array([[0.9, 0.2], [0.7, 0.4]])
    present, absent = np.array([[True, False], [True, False]]), np.array([[False, True], [False, False]])
    found = expected_right(p, present, absent)
    assert found.labels == 3 and found.right == pytest.approx(0.9 + 0.7 + 0.8)
    assert 0 <= found.low <= found.right <= found.high <= 3


def test_an_interval_of_independent_labels_is_that_of_the_binomial():
    p = np.full((400, 1), 0.9)
    found = expected_right(p, np.ones(p.shape, bool), np.zeros(p.shape, bool))
    assert found.right == pytest.approx(360)
    assert found.low == pytest.approx(360 - 1.645 * 6, abs=1.5) and found.high == pytest.approx(
        360 + 1.645 * 6, abs=1.5
    )


def test_uncertain_log_odds_widen_the_interval_and_draw_to_one_half():
    scores, labels, _ = made(images=500)
    correction = correct(scores, scores, labels)
    sure = replace(correction, covariance=np.zeros((2, 2)), deviation=np.zeros(6))
    p = np.full((300, 6), 0.95)
    chosen, none = np.ones(p.shape, bool), np.zeros(p.shape, bool)
    np.testing.assert_allclose(moderated(p, sure), p)
    assert (moderated(p, correction) < 0.95).all() and (moderated(1 - p, correction) > 0.05).all()
    narrow, wide = expected_right(p, chosen, none, sure), expected_right(p, chosen, none, correction)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_at_a_precision_so_many_are_right():
    """Probabilities that are right: of 40,000 cells those accepted at 0.9 are right nine times in ten."""
    random = np.random.default_rng(0)
    p = sigmoid(random.normal(0, 2, (10000, 4)))
    truth = random.random(p.shape) < p
    chosen = p >= accepted(p, np.ones(p.shape, bool), 0.9)
    assert truth[chosen].mean() == pytest.approx(0.9, abs=0.01)
    found = expected_right(p, chosen, np.zeros(p.shape, bool))
    assert found.low <= truth[chosen].sum() <= found.high


def test_intervals_hold_the_truth_about_nine_times_in_ten():
    held = []
    for seed in range(40):
        scores, labels, truth = made(images=400, classes=5, seed=seed)
        correction = correct(scores, scores, labels)
        p = sigmoid(correction.scale_filling.logits(scores).astype(float))
        chosen = (labels == -1) & (p > 0.5)
        found = expected_right(p, chosen, np.zeros_like(chosen), correction, seed)
        held.append(found.low <= (truth[chosen] == PRESENT).sum() <= found.high)
    assert np.mean(held) >= 0.8


def test_the_sentence_says_number_share_and_interval():
    said = Expected(812, 771.4, 742.0, 789.0).sentence
    assert said == "771 of 812 are expected to be right, 95.0% (90 % interval 742 to 789: 91.4% to 97.2%)"
    assert Expected(0, 0.0, 0.0, 0.0).sentence == ""

"""Hiding: the authors' masks bit for bit, and what each scheme leaves."""

from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from partlabel import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables import hiding

REFERENCE = Path(__file__).parent.parent / "reference"
labels_ = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(-1, 1))
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0, 1)


@pytest.fixture(scope="module")
def authors():
    return np.load(REFERENCE / "voc2007_authors_partial_labels.npz")


@pytest.mark.parametrize("percent", range(10, 100, 10))
def test_uniform_hides_what_the_authors_published_for_voc_2007(authors, percent):
    truth = np.where(authors["train_labels"] == 1, PRESENT, ABSENT).astype(np.int8)
    kept = (
        np.unpackbits(authors[f"known_mask_{percent / 100}"])[: truth.size].reshape(truth.shape).astype(bool)
    )
    hidden = hiding.uniform(truth, percent / 100)
    np.testing.assert_array_equal(hidden, np.where(kept, truth, UNKNOWN))


@pytest.mark.parametrize("known", [0.1, 0.5, 0.9])
def test_uniform_hides_what_the_authors_code_hides(known):
    with np.load(REFERENCE / "label_drop.npz") as printed:
        kept = printed[f"out.known@{known}"]
        each = printed[f"out.voc2007_known_count_per_class@{known}"]
    np.testing.assert_array_equal(hiding.uniform(np.zeros((7, 5), np.int8), known) != UNKNOWN, kept)
    hidden = hiding.uniform(np.zeros((5011, 20), np.int8), known)
    np.testing.assert_array_equal((hidden != UNKNOWN).sum(axis=0), each)


def test_the_draws_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    whole = hiding.uniform(np.zeros((50, 7), np.int8), 0.5, seed=3)
    monkeypatch.setattr(hiding, "_BLOCK", 20)
    np.testing.assert_array_equal(hiding.uniform(np.zeros((50, 7), np.int8), 0.5, seed=3), whole)


@given(labels_, seeds, st.integers(1, 20))
def test_schemes_by_blocks_are_the_plain_definition(labels, seed, block):
    draws = np.random.RandomState(seed).random_sample(labels.shape)
    rates = np.linspace(0, 1, labels.shape[1])
    one = np.full_like(labels, UNKNOWN)
    for row, drawn in enumerate(draws):
        there = [column for column in range(labels.shape[1]) if labels[row, column] == PRESENT]
        if there:
            one[row, max(there, key=lambda column: drawn[column])] = PRESENT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hiding, "_BLOCK", block)
        np.testing.assert_array_equal(hiding.single_positive(labels, seed), one)
        kept = np.where(draws < rates, labels, UNKNOWN)
        np.testing.assert_array_equal(hiding.per_class(labels, rates, seed), kept)


@given(labels_, st.tuples(shares, shares).map(sorted), seeds)
def test_masks_are_nested(labels, ends, seed):
    fewer, more = (hiding.uniform(labels, share, seed) for share in ends)
    assert not ((fewer != UNKNOWN) & (more == UNKNOWN)).any()


@given(labels_, seeds, shares, st.sampled_from(sorted(hiding.SCHEMES)))
def test_every_scheme_hides_and_does_nothing_else(labels, seed, share, scheme):
    before = labels.copy()
    takes = signature(hiding.SCHEMES[scheme]).parameters
    given = {"known": share, "rates": [share] * labels.shape[1]}
    options = {name: given[name] for name in takes if name in given}
    hidden = hiding.hide_labels(labels, scheme, seed=seed, **options)
    np.testing.assert_array_equal(labels, before)
    kept = hidden != UNKNOWN
    np.testing.assert_array_equal(hidden[kept], labels[kept])
    assert hidden.dtype == np.int8
    assert not np.shares_memory(hidden, labels)
    np.testing.assert_array_equal(hiding.hide_labels(labels, scheme, seed=seed, **options), hidden)


def test_frequent_classes_are_kept_more_often_and_the_mean_rate_is_what_was_asked():
    truth = (np.random.RandomState(0).random_sample((20000, 4)) < [0.6, 0.3, 0.06, 0.03]).astype(np.int8)
    rates = (hiding.by_prevalence(truth, 0.4, seed=1) != UNKNOWN).mean(axis=0)
    # k (.6 + .3 + .06 + .03) / 4 = .4 gives k = 1.62 and rates .97, .48, .097, .048: none has to be cut at 1.
    np.testing.assert_allclose(rates, 1.6162 * np.array([0.6, 0.3, 0.06, 0.03]), atol=0.02)


def test_rates_are_cut_at_one_and_the_others_make_up_for_it():
    truth = (np.random.RandomState(0).random_sample((20000, 3)) < [0.9, 0.2, 0.1]).astype(np.int8)
    rates = (hiding.by_prevalence(truth, 0.6, seed=1) != UNKNOWN).mean(axis=0)
    np.testing.assert_allclose(
        rates, [1, 0.8 * 2 / 3, 0.8 / 3], atol=0.02
    )  # the other two share 1.8 - 1, two to one


def _drawn_truth(rates, images=20_000):
    """Labels whose classes are present at those rates, independently."""
    return (np.random.RandomState(0).random_sample((images, len(rates))) < rates).astype(np.int8)


def test_an_editor_sets_the_share_of_present_and_of_absent_labels_that_is_asked():
    truth = _drawn_truth([0.3, 0.1, 0.05, 0.05])
    kept = hiding.editor(truth, known_present=0.4, known_absent=0.08, seed=1) != UNKNOWN
    assert kept[truth == PRESENT].mean() == pytest.approx(0.4, abs=0.015)
    assert kept[truth == ABSENT].mean() == pytest.approx(0.08, abs=0.005)


def test_an_editor_sets_common_tags_more_often_in_proportion_to_the_root_of_their_number():
    truth = _drawn_truth([0.36, 0.09, 0.04])
    kept = hiding.editor(truth, known_present=0.4, seed=1) != UNKNOWN
    rates = [kept[truth[:, c] == PRESENT, c].mean() for c in range(3)]
    # k (.6 x .36 + .3 x .09 + .2 x .04) / (.36 + .09 + .04) = .4 gives k = .781
    np.testing.assert_allclose(rates, 0.781 * np.array([0.6, 0.3, 0.2]), atol=0.03)
    absents = [kept[truth[:, c] == ABSENT, c].mean() for c in range(3)]
    np.testing.assert_allclose(absents, 0.09, atol=0.01)  # the default, the same for every class


def test_by_default_a_third_of_the_labels_that_an_editor_sets_is_present():
    truth = _drawn_truth([0.1] * 10)
    hidden = hiding.editor(truth, seed=1)
    known = hidden != UNKNOWN
    # .1 x .45 = .045 present and .9 x .09 = .081 absent: .126 of the labels, of which .36 present.
    assert known.mean() == pytest.approx(0.126, abs=0.005)
    assert (hidden[known] == PRESENT).mean() == pytest.approx(0.36, abs=0.02)


def test_an_editor_who_sets_all_tags_and_nothing_else_keeps_the_positives_only():
    truth = _drawn_truth([0.3, 0.01], images=500)
    np.testing.assert_array_equal(hiding.editor(truth, 1.0, 0.0), hiding.positives_only(truth))
    with pytest.raises(ValueError, match=r"a fraction of labels to keep is between 0 and 1, not 1\.5"):
        hiding.editor(truth, known_present=1.5)


@given(labels_, seeds, shares)
def test_whole_images_are_kept_or_hidden(labels, seed, share):
    kept = hiding.whole_images(labels, share, seed) != UNKNOWN
    drawn = np.random.RandomState(seed).random_sample(len(labels)) < share
    np.testing.assert_array_equal(kept, (labels != UNKNOWN) & drawn[:, None])


def test_images_of_a_source_have_the_same_classes_known_and_each_class_its_share_of_sources():
    kept = hiding.by_source(np.zeros((4000, 6), np.int8), 0.3, sources=10, seed=2) != UNKNOWN
    assert len(np.unique(kept, axis=0)) <= 10
    np.testing.assert_allclose(kept.mean(axis=0), 0.3, atol=0.05)
    barely = hiding.by_source(np.zeros((4000, 6), np.int8), 0.0, sources=10, seed=2) != UNKNOWN
    assert barely.any(axis=0).all(), "every class is looked for by one source"
    with pytest.raises(ValueError, match="sources is 0; at least one source is needed"):
        hiding.by_source(np.zeros((4, 6), np.int8), 0.3, sources=0)


@given(labels_, seeds)
def test_the_ends_of_uniform_are_everything_and_nothing(labels, seed):
    np.testing.assert_array_equal(hiding.uniform(labels, 1.0, seed), labels)
    assert (hiding.uniform(labels, 0.0, seed) == UNKNOWN).all()


@given(labels_, seeds)
def test_single_positive_keeps_one_where_there_is_one(labels, seed):
    hidden = hiding.single_positive(labels, seed)
    np.testing.assert_array_equal((hidden == PRESENT).sum(axis=1), (labels == PRESENT).any(axis=1))
    assert not (hidden == ABSENT).any()


def test_single_positive_draws_evenly():
    labels = np.tile(np.array([[1, 0, 1, -1, 1]], np.int8), (3000, 1))
    np.testing.assert_allclose(
        (hiding.single_positive(labels) == PRESENT).mean(axis=0), [1 / 3, 0, 1 / 3, 0, 1 / 3], atol=0.03
    )


@given(labels_)
def test_positives_only_keeps_all_of_them_and_no_more(labels):
    hidden = hiding.positives_only(labels)
    np.testing.assert_array_equal(hidden == PRESENT, labels == PRESENT)
    assert not (hidden == ABSENT).any()


@given(labels_, shares, seeds)
def test_per_class_with_one_rate_is_uniform(labels, share, seed):
    rates = np.full(labels.shape[1], share)
    np.testing.assert_array_equal(hiding.per_class(labels, rates, seed), hiding.uniform(labels, share, seed))


def test_per_class_keeps_the_share_of_each_class():
    kept = hiding.per_class(np.zeros((4000, 3), np.int8), [0.0, 0.2, 1.0]) != UNKNOWN
    np.testing.assert_allclose(kept.mean(axis=0), [0, 0.2, 1], atol=0.03)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_are_between_0_and_1(share):
    with pytest.raises(ValueError, match="a fraction of labels to keep is between 0 and 1"):
        hiding.uniform(np.zeros((1, 1), np.int8), share)


def test_mistakes_in_schemes_are_named():
    labels = np.zeros((2, 3), np.int8)
    with pytest.raises(ValueError, match=r"no hiding scheme 'unifrom' \(did you mean 'uniform'\?\)"):
        hiding.hide_labels(labels, "unifrom")
    with pytest.raises(ValueError, match=r"scheme 'uniform' needs known="):
        hiding.hide_labels(labels, "uniform")
    with pytest.raises(ValueError, match=r"takes no 'knwon' \(did you mean 'known'\?\)"):
        hiding.hide_labels(labels, "uniform", knwon=0.1)
    with pytest.raises(ValueError, match="2 rates for 3 classes: give one per class"):
        hiding.per_class(labels, [0.1, 0.2])


def test_the_schemes_are_the_public_functions():
    assert set(hiding.SCHEMES) == {
        "uniform", "single_positive", "positives_only", "per_class", "by_prevalence", "whole_images", "by_source",
        "editor",
    }  # fmt: skip

"""What results say together, against numbers worked out by hand."""

import json
from math import isnan, sqrt

import polars as pl
import pytest

from partlabel.bench import pages, summary

SCORES = {  # arm, known, seed: mAP
    ("base", 0.1, 0): 0.50, ("base", 0.1, 1): 0.52, ("base", 0.5, 0): 0.60, ("base", 0.5, 1): 0.62,
    ("ours", 0.1, 0): 0.53, ("ours", 0.1, 1): 0.53, ("ours", 0.5, 0): 0.61, ("ours", 0.5, 1): 0.65,
    ("late", 0.1, 0): 0.49,
}  # fmt: skip


def table(scores, protocol="uniform", history="[]"):
    return pl.DataFrame(
        [
            {
                "arm": arm, "known": known, "seed": seed, "map": score, "protocol": protocol,
                "seconds": 2.0 + seed, "peak_mb": 100.0 + seed, "history": history,
            }
            for (arm, known, seed), score in scores.items()
        ],
        infer_schema_length=None,
    )  # fmt: skip


def test_means_and_deviations_are_those_of_the_seeds():
    row = summary.rows(table(SCORES), "base")[0]
    assert row.arm == "ours"
    assert row.by_known[0.5].mean == pytest.approx(0.63)
    assert row.by_known[0.5].deviation == pytest.approx(0.02 * sqrt(2))
    assert row.overall == pytest.approx((0.53 + 0.63) / 2)
    assert (row.seconds, row.peak_mb) == (2.5, 101.0)


def test_the_paired_difference_averages_shares_within_a_seed_and_is_students_over_seeds():
    # Seed 0: (.03 + .01) / 2 = .02; seed 1: (.01 + .03) / 2 = .02. No spread, no interval.
    even = summary.difference(table(SCORES), "ours", "base")
    assert even == pytest.approx((0.02, 0.02, 0.02))
    # Seed 0: .02, seed 1: (.01 + .05) / 2 = .03: mean .025, and t(.975, 1) = 12.706 times .005.
    spread = summary.difference(table(SCORES | {("ours", 0.5, 1): 0.67}), "ours", "base")
    assert spread == pytest.approx((0.025, 0.025 - 12.7062 * 0.005, 0.025 + 12.7062 * 0.005), rel=1e-4)


def test_only_cells_that_both_have_are_compared():
    one = summary.difference(table(SCORES), "late", "base")
    assert one.mean == pytest.approx(-0.01)
    assert isnan(one.low)
    assert isnan(
        summary.difference(table({("late", 0.1, 0): 0.4, ("base", 0.1, 1): 0.5}), "late", "base").mean
    )


def test_a_share_that_only_some_seeds_have_is_in_no_difference_and_no_mean():
    half = {("late", 0.1, 0): 0.52, ("late", 0.1, 1): 0.54, ("late", 0.5, 0): 0.60}
    compared = summary.difference(table(SCORES | half), "late", "base")
    assert compared == pytest.approx((0.02, 0.02, 0.02)), "at .1; with .5 of seed 0 it were (.01, .02)"
    (row,) = (row for row in summary.rows(table(SCORES | half), "base") if row.arm == "late")
    assert isnan(row.overall)
    apart = {("late", 0.1, 0): 0.4, ("late", 0.5, 1): 0.5}
    assert isnan(summary.difference(table(SCORES | apart), "late", "base").mean)


def test_ranks_are_of_the_cells_in_which_all_are_done_and_ties_are_shared():
    rows = {row.arm: row.rank for row in summary.rows(table(SCORES), "base")}
    assert rows == {"ours": 1, "base": 2, "late": 3}, "of the one cell that late has"
    tied = {("a", 0.1, 0): 0.5, ("b", 0.1, 0): 0.5, ("c", 0.1, 0): 0.4}
    assert {row.arm: row.rank for row in summary.rows(table(tied), "a")} == {"a": 1.5, "b": 1.5, "c": 3}


def test_arms_that_are_not_done_come_last():
    assert [row.arm for row in summary.rows(table(SCORES), "base")] == ["ours", "base", "late"]


def test_a_table_in_markdown_says_it_in_percent():
    text = pages.markdown(table(SCORES), "base")
    assert "| ours | 53.0 ± 0.0 | 63.0 ± 2.8 | 58.0 | 1.0 | +2.0 (+2.0, +2.0) | 2 | 101 |" in text
    assert "| late | 49.0 | – | – | 3.0 | -1.0 | 2 | 100 |" in text
    assert "| base | 51.0 ± 1.4 | 61.0 ± 1.4 | 56.0 | 2.0 |  | 2 | 101 |" in text


def test_a_protocol_without_shares_has_one_column():
    scores = {("a", None, 0): 0.5, ("a", None, 1): 0.7, ("b", None, 0): 0.4, ("b", None, 1): 0.5}
    text = pages.markdown(table(scores, "single_positive"), "b")
    assert "### single_positive" in text
    assert "| a | 60.0 ± 14.1 | 1.0 | +15.0 (" in text


def test_the_page_shows_tables_curves_and_pseudo_labels_and_loads_nothing(tmp_path):
    history = json.dumps(
        [{"pseudo_labels": {"intra": {"precision": 0.5, "recall": 0.1}}}, {"pseudo_labels": {}}]
    )
    pages.write_tables(table(SCORES, history=history), "base", tmp_path, "two & three")
    page = (tmp_path / "results.html").read_text()
    assert "two &amp; three" in page
    assert "53.0 ± 0.0" in page
    assert page.count("<svg") == 1 + 3, "a figure of curves, and one an arm of its pseudo-labels"
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert (tmp_path / "results.md").read_text().startswith("# two & three")


def test_pseudo_labels_are_followed_by_epoch():
    history = json.dumps(
        [
            {"pseudo_labels": {}},
            {"pseudo_labels": {"cross": {"precision": 0.25, "recall": None}}},
        ]
    )
    assert summary.pseudo_labels(table({("a", 0.1, 0): 0.5}, history=history)) == {
        "a": {"cross precision": [None, 0.25]}
    }

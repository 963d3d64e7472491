"""Which method suits which labels: every kind is recognised, and the page shows what the code says."""

from pathlib import Path

import numpy as np
import pytest

from partlabel.data.tables import hiding
from partlabel.methods import get
from partlabel.selection import advice
from partlabel.selection.advice import KINDS, kind_of

PAGE = Path(__file__).parents[2] / "docs" / "which-method.md"


@pytest.fixture
def truth():
    return (np.random.RandomState(0).random_sample((800, 20)) < 0.1).astype(np.int8)


@pytest.mark.parametrize(
    ("scheme", "options", "kind"),
    [
        ("uniform", {"known": 0.02}, advice.SAMPLE),
        ("uniform", {"known": 0.5}, advice.SAMPLE),
        ("by_source", {"known": 0.1}, advice.SAMPLE),
        ("by_prevalence", {"known": 0.1}, advice.SAMPLE),
        ("whole_images", {"known": 0.1}, advice.IMAGES),
        ("editor", {}, advice.EDITOR),
        ("positives_only", {}, advice.PRESENCES),
        ("single_positive", {}, advice.SINGLE),
        ("uniform", {"known": 1.0}, advice.COMPLETE),
    ],
)
def test_every_way_of_hiding_labels_is_recognised(truth, scheme, options, kind):
    assert kind_of(hiding.hide_labels(truth, scheme, seed=1, **options)) == kind


def test_a_table_of_few_common_classes_is_not_taken_for_an_editors():
    truth = (np.random.RandomState(0).random_sample((800, 3)) < 0.5).astype(np.int8)
    assert kind_of(hiding.uniform(truth, 0.3, seed=1)) == advice.SAMPLE


def test_the_advice_names_the_kind_the_share_the_method_and_the_classes_with_too_few_presences(truth):
    truth[:, 0] = 0
    labels = hiding.uniform(truth, 0.5, seed=1)
    said = advice.advice(labels)
    assert f"a sample of the labels ({100 * (labels != -1).mean():.1f}% known)" in said
    assert "soft_sst" in said
    assert "1 class has fewer than 5 known present labels" in said


def test_a_table_without_a_known_label_is_refused():
    with pytest.raises(ValueError, match="no label is known"):
        kind_of(np.full((3, 2), -1, np.int8))


def test_the_page_has_every_line_and_every_method_exists():
    page = PAGE.read_text(encoding="utf-8")
    for kind in KINDS:
        get(kind.method)
        assert f"| {kind.name} | {kind.looks} | `{kind.method}` |" in page

"""Training and filling with the texts beside the photos, from end to end on small drawings."""

import numpy as np
import pytest

from drawings import COLOURS, draw_photos
from partlabel import LabelTable, Tagger
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.evaluation.metrics import average_precision
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.posthoc.tuning import tune
from partlabel.review import explain_fill
from partlabel.review.reasons import why
from partlabel.training.run_folder import Run

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 32, "method": "evidence"}
PHOTOS = 90


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Drawings with complete labels and a text of each, which names the colours in it."""
    folder = tmp_path_factory.mktemp("captioned")
    labels = draw_photos(folder / "photos", PHOTOS).astype(np.int8)
    images = tuple(f"{row:02}.png" for row in range(PHOTOS))
    texts = [
        [" and ".join(name for name, there in zip(COLOURS, row, strict=True) if there)] for row in labels
    ]
    return LabelTable(images, tuple(COLOURS), labels, root=folder / "photos").with_texts(texts)


@pytest.fixture(scope="module")
def table(truth):
    return truth.hide("uniform", known=0.3, seed=1)


@pytest.fixture(scope="module")
def fitted(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "a"
    return Tagger(table.classes, **SMALL).fit(table, out=out, embedder="words"), out


def unknown_ap(probability, table, truth):
    hidden = np.where(table.labels == UNKNOWN, truth.labels, UNKNOWN).astype(np.int8)
    return np.mean([average_precision(probability[:, c], hidden[:, c]) for c in range(len(table.classes))])


def test_texts_rank_unknown_labels_that_a_random_backbone_cannot(fitted, table, truth):
    tagger, _ = fitted
    with_texts = unknown_ap(tagger.fill(table).probability, table, truth)
    without = unknown_ap(tagger.fill(table.with_texts(None)).probability, table, truth)
    assert with_texts > 0.9 > without


def test_the_run_keeps_what_the_texts_taught_and_no_text(fitted):
    _, out = fitted
    run = Run(out)
    assert TextEvidence.load(run.texts).embedder == "words"
    words = b"red and green"
    assert not any(words in path.read_bytes() for path in (run.texts, run.weights, run.config))


def test_a_loaded_tagger_fills_the_same(fitted, table):
    tagger, out = fitted
    np.testing.assert_allclose(
        Tagger.load(out).fill(table).probability, tagger.fill(table).probability, atol=1e-3
    )


def test_prediction_does_not_use_texts(fitted, table):
    tagger, _ = fitted
    assert tagger.predict(table).equals(tagger.predict(table.with_texts(None)))


def test_out_of_fold_logits_with_texts_are_kept_for_tuning(fitted, table):
    tagger, _ = fitted
    assert tagger.out_of_fold.with_texts.shape == table.labels.shape
    assert not np.array_equal(tagger.out_of_fold.with_texts, tagger.out_of_fold.logits)
    tune(tagger)
    probability = tagger.fill(table).probability[table.labels == UNKNOWN]
    assert 0 <= probability.min() <= probability.max() <= 1


def test_without_texts_there_is_no_evidence_of_texts(table, tmp_path):
    tagger = Tagger(table.classes, **SMALL).fit(table.with_texts(None), out=tmp_path / "a")
    assert tagger.texts is None and not Run(tmp_path / "a").texts.exists()
    assert tagger.beside(table) is None


def test_evidence_by_steps_is_refused_with_a_way_out(table, tmp_path):
    tagger = Tagger(table.classes, **SMALL)
    with pytest.raises(
        ValueError, match=r"evidence is fitted by the full-batch solver.*leave out --weight-decay"
    ):
        tagger.fit(table, out=tmp_path / "a", weight_decay=0.1)
    assert not (tmp_path / "a").exists()


def test_the_report_has_the_weights_of_the_evidence(fitted):
    page = Run(fitted[1]).report.read_text()
    assert "Texts beside the photos" in page and "Texts inform unknown labels" in page


def test_each_new_present_label_is_explained(fitted, table):
    tagger, out = fitted
    after = tagger.fill(table, accept=0.5)
    reasons = explain_fill.explain(tagger, Run(out), table, after)
    new = np.argwhere((table.labels == UNKNOWN) & (after.table.labels == PRESENT)).tolist()
    assert reasons["image"].to_list() == [table.images[row] for row, _ in new]
    assert reasons["class"].to_list() == [table.classes[column] for _, column in new]
    assert (
        reasons["reason"].str.contains('text: "').any() and reasons["reason"].str.contains("by itself").all()
    )
    nothing = explain_fill.explain(tagger, Run(out), table, tagger.fill(table))
    assert nothing.is_empty() and nothing.columns == reasons.columns


def test_a_review_uses_texts_and_none_turns_it_off(fitted, table):
    pytest.importorskip("fastapi")
    from partlabel.review.build import build_app

    tagger, out = fitted
    for given in (table, table.with_texts(None)):
        _, session = build_app(Run(out), given, port=0)
        expected = tagger.texts.logits(session.looked.logits, tagger.beside(given))
        np.testing.assert_allclose(session.logits, expected, atol=1e-4)
        assert (why(session, 2, 0).beside is not None) is (given.texts is not None)  # photo 2 has a text
        session.decisions.close()


def test_a_review_fits_the_run_again_and_with_the_same_labels_predicts_the_same(fitted, table):
    """The features that a review keeps, with texts beside them, are all that the fit of the run depends on."""
    pytest.importorskip("fastapi")
    from partlabel.review.build import build_app

    _, out = fitted
    _, session = build_app(Run(out), table, port=0, retrain=5)
    again = session.count_decided.__self__.refitting.fit(table.labels)
    np.testing.assert_allclose(again.logits, session.looked.logits, atol=0.05)
    assert again.texts.embedder == "words"
    session.adopt(again)
    np.testing.assert_allclose(session.logits, session.beside.logits)
    assert why(session, 2, 0).beside is not None
    session.decisions.close()

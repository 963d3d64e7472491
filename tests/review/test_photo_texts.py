"""Texts beside the photo of a question: their evidence in the probabilities, and as a reason on the page."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from informed import CLASSES as INFORMED
from informed import collection
from partlabel.core.types import WordFeatures
from partlabel.data.embedders.words import Words
from partlabel.posthoc.text_evidence import TextEvidence, fit_text_evidence
from partlabel.review.decisions import DecisionLog
from partlabel.review.photo_texts import LONGEST, PhotoTexts, TextPiece, in_pieces
from partlabel.review.questions import ANYTHING
from partlabel.review.reasons import why
from partlabel.review.session import Session
from partlabel.transfer.combination import Combination
from partlabel.transfer.teacher import Teacher

NAMES = tuple(f"class{n}" for n in range(INFORMED))


@pytest.fixture(scope="module")
def learned():
    """Logits with an unreadable photo, features of texts, and the evidence of these texts."""
    given, _ = collection(known=0.6)
    logits = given.logits.numpy()
    found = fit_text_evidence(
        logits, given.labels.numpy(), WordFeatures(given.text), "words", given.fold.numpy()
    )
    logits = logits.copy()
    logits[3] = np.nan
    return logits, WordFeatures(given.text), found[0]


def test_logits_are_those_of_fill_and_an_unreadable_photo_stays_unreadable(learned):
    logits, features, evidence = learned
    found = PhotoTexts([()] * len(logits), NAMES, logits, evidence, features).logits
    whole = evidence.logits(np.nan_to_num(logits), features)
    others = np.arange(len(logits)) != 3
    np.testing.assert_allclose(found[others], whole[others], atol=1e-5)
    assert np.isnan(found[3]).all()
    assert np.array_equal(PhotoTexts(None, NAMES, logits).logits, logits, equal_nan=True)


def test_a_session_orders_and_predicts_with_texts(table, looked, tmp_path):
    higher = PhotoTexts(None, table.classes, looked.logits + 1)
    session = Session(table, looked, DecisionLog(tmp_path / "d.sqlite"), beside=higher)
    np.testing.assert_allclose(session.probability, 1 / (1 + np.exp(-looked.logits - 1)), rtol=1e-5)
    question = session.next("desk", "Ada", ANYTHING)
    assert question.probability == pytest.approx(float(session.probability[question.row, question.column]))
    assert why(session, question.row, question.column).alone == pytest.approx(question.probability)
    session.decisions.close()


def test_words_that_mention_the_class_are_marked_and_such_texts_come_first():
    texts = [("a cat", "two dogs on a sofa"), ()]
    beside = PhotoTexts(texts, ("dog",), np.zeros((2, 1), np.float32))
    reason = beside.reason(0, 0)
    assert reason.texts == [
        [TextPiece("two "), TextPiece("dogs", "names"), TextPiece(" on a sofa")],
        [TextPiece("a cat")],
    ]
    assert (reason.more, reason.without, reason.with_texts) == (0, None, None)
    assert beside.reason(1, 0) is None


def test_the_probability_without_texts_is_that_of_a_photo_without_text(learned):
    logits, features, evidence = learned
    beside = PhotoTexts([("a",)] * len(logits), NAMES, logits, evidence, features)
    vars(beside)["_embedder"] = None
    reason = beside.reason(7, 1)
    without = evidence.logits(logits[[7]], WordFeatures(evidence.no_text(1)))[0, 1]
    assert reason.without == pytest.approx(1 / (1 + np.exp(-without)), abs=1e-6)
    assert reason.with_texts == pytest.approx(1 / (1 + np.exp(-beside.logits[7, 1])), abs=1e-6)


def test_the_change_by_a_word_is_that_of_the_score_without_it():
    """Weights of the words themselves: surf 2, sofa -3; the mean of two texts halves them; unit norm of three words."""
    surfer, sofa = torch.from_numpy(Words().embed(["surfer", "sofa"]))
    teacher = Teacher.create(("text",), {"classes": 1, "text_dim": 2048})
    teacher.parts["text"].linear.weight.copy_((2 * surfer - 3 * sofa)[None])
    one = torch.ones(1)
    teacher.whole = teacher.plain = Combination(4 * one, torch.zeros(1, 1), 4 * one, torch.zeros(1))
    evidence = TextEvidence(teacher, "words", 2048)
    beside = PhotoTexts(
        [("surfer wall sofa", "x")],
        ("dog",),
        np.zeros((1, 1), np.float32),
        evidence,
        WordFeatures(evidence.no_text(1)),
    )
    moved = beside._moving("surfer wall sofa", 0, 2)
    all_three = (2 - 3) / 3**0.5
    expected = [(all_three - each / 2**0.5) / 2 for each in (-3, -1, 2)]
    assert list(moved) == [(0, 6), (7, 11), (12, 16)]
    assert list(moved.values()) == pytest.approx(expected, abs=2e-3)
    assert [piece.kind for piece in beside.reason(0, 0).texts[0]] == ["for", "", "against"]


def test_the_largest_changes_are_marked_and_mentions_win():
    text = "dog sofa beach sky"
    moving = {(0, 3): 5.0, (4, 8): -0.4, (9, 14): 0.2, (15, 18): 0.05}
    assert [tuple(piece) for piece in in_pieces(text, [(0, 3)], moving)] == [
        ("dog", "names"), (" ", ""), ("sofa", "against"), (" ", ""), ("beach", "for"), (" sky", ""),
    ]  # fmt: skip


def test_a_long_text_is_cut():
    pieces = in_pieces("x" * 1000, [], {})
    assert pieces == [TextPiece("x" * LONGEST + " …")]


@pytest.fixture
def page(table, looked, tmp_path):
    """The text of a page of a review of photos with a hostile caption, blind or not."""
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from partlabel.core.access_control import Guard
    from partlabel.review import app

    hostile = '<script>alert("x")</script> red</q></div> \u202eblue ' + "a" * 300
    table = dataclasses.replace(table, texts=((hostile,),) * len(table))
    session = Session(
        table,
        looked,
        DecisionLog(tmp_path / "d.sqlite"),
        beside=PhotoTexts(table.texts, table.classes, looked.logits),
    )

    def text(blind: bool, **query) -> str:
        made = app.create(session, Guard("127.0.0.1", None, "t"), title="a@b", blind=blind)
        return TestClient(made, base_url="http://127.0.0.1").get("/", params=query).text

    yield text
    session.decisions.close()


def test_a_caption_is_escaped_and_its_decisive_word_marked(page):
    shown = page(False, **{"class": "red"})
    assert "Text beside this photo" in shown
    assert "<script>alert" not in shown and "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in shown
    assert re.search(r'<mark class="names" title="names the class">red</mark>&lt;/q&gt;', shown)


def test_a_blind_review_shows_no_text(page):
    shown = page(True)
    assert "Text beside" not in shown and "alert(" not in shown

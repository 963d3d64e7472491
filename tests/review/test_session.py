"""A review as it goes on: what is asked next, what becomes of answers, and what known labels say of the others."""

from pathlib import Path

import numpy as np
import pytest

from partlabel.core.column_rules import ColumnRules
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.violations import count_violations
from partlabel.posthoc.label_completion import Completion
from partlabel.reporting.examples import Example
from partlabel.review.decisions import Cell, DecisionLog
from partlabel.review.predictions_cache import Looked
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.reasons import why
from partlabel.review.rules_of_review import RulesOfReview
from partlabel.review.session import Session


def go_on(session, desk="desk", who="Ada", wish=ANYTHING, what="present"):
    """Answer one question."""
    question = session.next(desk, who, wish)
    session.answer(desk, who, question.ask, question.row, question.column, what)
    return question


def test_all_blanks_are_asked_about_once_the_least_certain_first(session):
    asked = []
    while (question := session.next("desk", "Ada", Wish("uncertain"))) is not None:
        asked.append(question)
        session.answer("desk", "Ada", question.ask, question.row, question.column, "absent")
    doubt = [abs(question.probability - 0.5) for question in asked]
    assert doubt == sorted(doubt)
    assert len({(q.row, q.column) for q in asked}) == len(asked) == session.table.unknown
    assert session.progress("Ada", ANYTHING)[:3] == (len(asked), len(asked), 0)


def test_a_desk_that_asks_again_gets_the_same_question_under_a_new_name(session):
    first, again = session.next("desk", "Ada", ANYTHING), session.next("desk", "Ada", ANYTHING)
    assert (first.row, first.column) == (again.row, again.column)
    assert first.ask != again.ask


def test_a_desk_that_wishes_for_something_else_gets_the_first_of_that(session):
    first = session.next("desk", "Ada", Wish("uncertain"))
    other = session.next("desk", "Ada", Wish("surest"), skip_current=True)
    assert other.probability == session.probability[session.blank].max() != first.probability


def test_two_desks_are_never_asked_the_same(session):
    asked = [session.next(desk, "Ada", ANYTHING) for desk in ("one", "two", "three")]
    assert len({(q.row, q.column) for q in asked}) == 3


def test_the_last_question_is_one_desks_alone(session):
    for _ in range(session.table.unknown - 1):
        go_on(session)
    assert session.next("one", "Ada", ANYTHING) is not None
    assert session.next("two", "Bob", ANYTHING) is None


def test_wishes_bound_what_is_asked(session):
    wish = Wish("surest", "blue", 0.4, 1.0)
    expected = sorted(
        (-session.probability[row, 2], row)
        for row in np.flatnonzero(session.table.labels[:, 2] == UNKNOWN)
        if session.probability[row, 2] >= 0.4
    )
    assert session.progress("Ada", wish).left == len(expected) > 1
    asked = []
    while session.next("desk", "Ada", wish) is not None:
        asked.append(go_on(session, wish=wish).row)
    assert asked == [row for _, row in expected]


def test_what_is_skipped_is_asked_of_others_and_again_on_request(session):
    skipped = go_on(session, what="skip")
    question = session.next("desk", "Ada", ANYTHING)
    assert (question.row, question.column) != (skipped.row, skipped.column)
    session.decisions.claim("desk", lambda others, own: None)
    for who, wish in (("Bob", ANYTHING), ("Ada", Wish(skipped=True))):
        question = session.next(f"desk of {who}", who, wish)
        assert (question.row, question.column) == (skipped.row, skipped.column)
        session.decisions.claim(f"desk of {who}", lambda others, own: None)


def test_undo_puts_the_question_again(session):
    question = go_on(session)
    assert session.labels[question.row, question.column] == PRESENT
    again = session.undo("desk", "Ada")
    assert (again.row, again.column) == (question.row, question.column)
    assert session.labels[question.row, question.column] == UNKNOWN
    assert session.undo("desk", "Ada") is None


def test_what_another_process_decides_is_taken_up(session):
    row, column = np.argwhere(session.table.labels == UNKNOWN)[0].tolist()
    other = DecisionLog(session.decisions.path)
    cell = Cell(session.table.images[row], session.table.classes[column])
    other.answer("q", "desk", "Bob", cell, "absent")
    other.close()
    assert session.progress("Ada", ANYTHING).people == {"Bob": 1}
    assert session.labels[row, column] == ABSENT


def test_a_review_opened_again_is_where_it_was(session, table, looked):
    done = {(q.row, q.column) for q in (go_on(session) for _ in range(5))}
    again = Session(table, looked, DecisionLog(session.decisions.path))
    assert {tuple(cell) for cell in np.argwhere(again.labels != table.labels).tolist()} == done
    assert again.last("desk") == session.last("desk")
    again.decisions.close()


def test_labels_that_the_table_knows_are_not_to_be_answered(session):
    row, column = np.argwhere(session.table.labels != UNKNOWN)[0].tolist()
    with pytest.raises(KeyError, match=r"'(red|green|blue|yellow)' of '\d\d.png' is not an unknown label"):
        session.answer("desk", "Ada", "q", row, column, "present")
    with pytest.raises(KeyError, match="there is no label in row 99, column 0"):
        session.answer("desk", "Ada", "q", 99, 0, "present")


def test_what_the_page_said_is_kept_with_the_answer_unless_it_was_hidden(session):
    for hidden in (False, True):
        question = session.next("desk", "Ada", ANYTHING)
        session.answer("desk", "Ada", question.ask, question.row, question.column, "skip", hidden)
        kept = session.decisions.last("desk").probability
        assert kept is None if hidden else kept == pytest.approx(question.probability, abs=1e-6)


def test_an_answer_moves_the_other_probabilities_of_its_image_alone(table, looked, tmp_path):
    """Green says much of blue: after `green` is answered, `blue` in the same image is more probable."""
    votes = np.zeros((4, 4), np.float32)
    votes[2, 1] = 3.0
    session = Session(table, looked, DecisionLog(tmp_path / "d.sqlite"), Completion(votes))
    row = next(r for r in range(12) if (table.labels[r, 1:3] == UNKNOWN).all())
    before = session.probability.copy()
    logits = looked.logits[row].astype(float)
    session.answer("desk", "Ada", "q", row, 1, "present")
    surprise = 1 - 1 / (1 + np.exp(-logits[1]))
    assert session.probability[row, 2] == pytest.approx(
        1 / (1 + np.exp(-(logits[2] + 3 * surprise))), rel=1e-5
    )
    moved = np.argwhere(session.probability != before).tolist()
    assert moved == [[row, 2]]
    reasons = why(session, row, 2)
    assert [(vote.name, vote.present) for vote in reasons.votes] == [("green", True)]
    assert reasons.alone == pytest.approx(1 / (1 + np.exp(-logits[2])))
    session.decisions.close()


def test_reasons_come_without_pairs_where_the_image_vanished(session):
    def gone(row):
        raise OSError("it vanished")

    session.gaze = gone
    assert why(session, 0, 0).pairs == []


def test_the_methods_own_pairs_are_given_for_classes_that_are_here(session):
    together = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
    session.gaze = lambda row: Example(Path(), cooccurrence=together)
    session.labels[0] = [UNKNOWN, PRESENT, ABSENT, PRESENT]
    assert why(session, 0, 0).pairs == [("yellow", 3 / 16), ("green", 1 / 16)]


def test_images_that_cannot_be_read_are_not_asked_about(table, looked, tmp_path):
    logits = looked.logits.copy()
    logits[3] = np.nan
    session = Session(table, Looked(logits, looked.features), DecisionLog(tmp_path / "d.sqlite"))
    assert session.unreadable == 1
    assert not session.blank[3].any()
    session.decisions.close()


def test_a_part_of_the_split_alone_is_asked_about(table, looked, tmp_path):
    split = table.with_split(["train"] * 8 + ["test"] * 4)
    session = Session(split, looked, DecisionLog(tmp_path / "d.sqlite"), part="test")
    assert not session.blank[:8].any()
    assert session.blank.sum() == (table.labels[8:] == UNKNOWN).sum()
    session.decisions.close()


def test_one_answer_settles_all_that_follows_from_it_and_undoing_opens_it_again(table, looked, tmp_path):
    first, second, third, fourth = table.classes
    rules = Rules(
        (
            ClassRule("implies", (first, second)),
            ClassRule("implies", (second, third)),
            ClassRule("excludes", (first, fourth)),
        )
    )
    blank = LabelTable(
        table.images, table.classes, np.full(table.labels.shape, UNKNOWN, np.int8), root=table.root
    )
    log = DecisionLog(tmp_path / "decisions.sqlite")
    session = Session(blank, looked, log, rules=RulesOfReview.of(ColumnRules(rules, table.classes)))
    assert count_violations(session.probability, ColumnRules(rules, table.classes)).total == 0
    left = session.progress("Ada", ANYTHING).left
    question = session.next("desk", "Ada", Wish("uncertain", first))
    session.answer("desk", "Ada", question.ask, question.row, question.column, "present")
    assert session.labels[question.row].tolist() == [PRESENT, PRESENT, PRESENT, ABSENT]
    assert session.progress("Ada", ANYTHING).left == left - 4
    session.undo("desk", "Ada")
    assert session.progress("Ada", ANYTHING).left == left
    log.close()

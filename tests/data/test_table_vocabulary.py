"""Changes of the classes of a table: what becomes of labels, sources and marks, and what is said."""

import numpy as np
import pytest

from partlabel import LabelTable
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.provenance import Origins
from partlabel.data.tables.vocabulary import Edits, split, unite

P, A, U = PRESENT, ABSENT, UNKNOWN
EVERY = [(one, other) for one in (P, A, U) for other in (P, A, U)]


def table_of(classes, rows, sources=None, marks=None):
    labels = np.array(rows, np.int8)
    names = tuple(f"{number}.jpg" for number in range(len(labels)))
    return LabelTable(names, classes, labels, origins=sources, calibration=marks)


def test_merged_labels_are_present_by_either_and_absent_by_both():
    rows = [(cab, taxi, A) for cab, taxi in EVERY]
    codes = np.array([[1 if cab != U else 0, 2 if taxi != U else 0, 0] for cab, taxi in EVERY], np.uint8)
    table = table_of(("cab", "taxi", "bus"), rows, Origins(codes, ("", "human", "review:ann")))
    found, (said,) = Edits(merge=(("cab", "taxi"),)).apply(table)
    assert found.classes == ("taxi", "bus")
    assert found.labels[:, 0].tolist() == [P, P, P, P, A, U, P, U, U]
    assert [found.origins.of(row, 0) for row in range(9)] == [
        *("review:ann", "human", "human", "review:ann", "review:ann"),
        *("", "review:ann", "", ""),
    ]
    assert said == (
        "merge 'cab' into 'taxi': 2 labels become present, 1 absent ones unknown, because 'cab' is unknown there; "
        "5 present and 1 absent"
    )


def test_the_parts_of_a_class_are_absent_where_it_is_and_else_unknown():
    table = table_of(("vehicle", "dog"), [(P, A), (A, P), (U, U)], marks=(True, True, False))
    found, (said,) = Edits(split=(("vehicle", ("car", "bus")),)).apply(table)
    assert found.classes == ("car", "bus", "dog")
    assert found.labels.tolist() == [[U, U, A], [A, A, P], [U, U, U]]
    assert found.calibration == (False, True, False), "the first is no longer labelled completely"
    assert said == (
        "split 'vehicle' into 'car', 'bus': absent in the 1 images without 'vehicle', unknown in the 1 with it"
    )


def test_what_cannot_be_changed_is_named():
    table = table_of(("cab", "taxi"), [(P, A)])
    for edits, message in (
        (Edits(rename=(("cab", "taxi"),)), r"a class 'taxi' already; unite them with --merge cab=taxi"),
        (Edits(drop=("cap",)), r"there is no class 'cap' \(did you mean 'cab'\?\); classes: cab, taxi"),
        (Edits(merge=(("cab", "cab"),)), r"cannot merge 'cab' into itself"),
        (Edits(split=(("cab", ("a",)),)), r"cannot split 'cab' into a: name two classes or more"),
        (Edits(split=(("cab", ("a", "taxi")),)), r"there is a class 'taxi' already"),
    ):
        with pytest.raises(ValueError, match=message):
            edits.apply(table)


def test_the_command_prints_first_and_never_writes_in_place(tmp_path, capsys):
    source, out = tmp_path / "t.csv", tmp_path / "u.csv"
    table_of(("cab", "taxi", "old"), [(P, A, P), (A, A, U)]).save(source)
    (tmp_path / "rules.yaml").write_text("implies: {cab: [taxi]}\n")
    before = source.read_bytes()
    typed = ["vocabulary", str(source), "--merge", "cab=taxi", "--drop", "old"]
    assert main([*typed, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "merge 'cab' into 'taxi'" in said and "drop 'old': 1 known labels are left out" in said
    assert "names 'cab': change it there, too" in said and not out.exists()
    assert main([*typed, "--out", str(out)]) == 0 and source.read_bytes() == before
    assert LabelTable.read(out).classes == ("taxi",)
    assert (
        main([*typed, "--out", str(source)]) == 2 and "is the source, which stays" in capsys.readouterr().err
    )
    assert main(typed) == 2 and "missing: --out" in capsys.readouterr().err
    assert main(["vocabulary", str(source), "--rename", "cab", "--dry-run"]) == 2
    assert "write two names with = between them, as in --rename cab=taxi" in capsys.readouterr().err


def test_a_file_of_proposals_is_accepted(tmp_path, capsys):
    source, file, out = tmp_path / "t.csv", tmp_path / "vocabulary-proposed.yaml", tmp_path / "u.csv"
    table_of(("cab", "taxi", "old", "car"), [(P, P, P, P), (A, A, A, A)]).save(source)
    file.write_text("merge:\n  # alike\n  cab: taxi\n  # car: taxi\ndrop:\n")
    typed = ["vocabulary", str(source), "--accept", str(file), "--out", str(out)]
    assert main([*typed, "--drop", "old"]) == 0
    assert LabelTable.read(out).classes == ("taxi", "car")
    for content, message in (
        (
            "merged: {a: b}",
            "there is no key 'merged' (did you mean 'merge'?); keys: rename, merge, drop, split",
        ),
        ("drop: {a: b}", "drop has another form than in rename: {cab: taxi}"),
        ("merge: {cab: yes}", "names such as yes or 7 need quotes"),
    ):
        file.write_text(content)
        assert main(typed) == 2
        assert message in capsys.readouterr().err


def test_drawn_labels_of_a_changed_class_are_asked_ones():
    """The union and the parts of a class have other labels than were drawn: present ones alone, or none."""
    labels = np.array([[1, 0], [-1, 1], [0, 0]], np.int8)
    origins = Origins(np.array([[1, 2], [0, 1], [1, 1]], np.uint8), ("", "review-at-random:ann", "human"))
    table = LabelTable(("a", "b", "c"), ("cab", "taxi"), labels).with_origins(origins)
    united = unite(table, "cab", "taxi").table
    assert [united.origins.of(row, 0) for row in range(3)] == ["review:ann"] * 3
    children = split(table, "cab", ["van", "car"]).table
    assert [children.origins.of(2, column) for column in range(3)] == ["review:ann"] * 2 + [
        "review-at-random:ann"
    ]

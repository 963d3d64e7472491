"""The benefit of texts alone, on texts that tell and on texts that do not."""

import numpy as np
import pytest

from informed import CLASSES, collection
from partlabel.audit.text_value import describe_text_value, text_value
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable


def table_of(labels):
    names = tuple(f"{row}.jpg" for row in range(len(labels)))
    return LabelTable(names, tuple(f"class{n}" for n in range(CLASSES)), np.array(labels))


def test_telling_texts_are_far_above_chance_and_texts_of_other_photos_are_not():
    given, _ = collection(known=0.6)
    labels = given.labels.numpy()
    found = text_value(table_of(labels), given.text)
    shares = [(column == 1).sum() / (column != UNKNOWN).sum() for column in labels.T]
    assert found.chance == pytest.approx(np.mean(shares)) and found.classes == CLASSES
    assert found.map > found.chance + 0.3
    other, _ = collection(known=0.6, shuffled=True)
    assert text_value(table_of(other.labels.numpy()), other.text).map < found.chance + 0.15
    assert f"mAP of {found.map:.1%}, chance {found.chance:.1%} (4 classes)" in describe_text_value(found)


def test_too_few_known_present_labels_are_said():
    given, _ = collection()
    labels = given.labels.numpy().copy()
    for column in range(CLASSES):
        labels[np.flatnonzero(labels[:, column] == 1)[4:], column] = UNKNOWN
    assert text_value(table_of(labels), given.text) is None
    assert "no class has 5 known present labels" in describe_text_value(None)

"""How much text a table has, and which classes it mentions."""

import numpy as np
import pytest

from partlabel.audit.text_statistics import photos_with_mentions, statistics_of_texts
from partlabel.data.mentions import forms
from partlabel.data.tables.label_table import LabelTable


def described(classes: tuple[str, ...], *texts: tuple[str, ...]) -> list[str]:
    labels = np.zeros((len(texts), len(classes)), np.int8)
    images = tuple(f"{at}.jpg" for at in range(len(texts)))
    return statistics_of_texts(LabelTable(images, classes, labels, texts=texts)).unmentioned


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cat", "Two CATS asleep"),
        ("ponies", "a pony"),
        ("pony", "ponies at large"),
        ("bus", "three buses"),
        ("ride", "a man riding"),
        ("running", "they run"),
        ("traffic_light", "lights of the traffic"),
        ("TrafficLight", "a traffic light"),
        ("stop sign", "signs that say stop"),
        ("glass", "glasses"),
        ("café", "cafe\u0301s by the river"),
        ("猫", "一只猫在睡觉"),
    ],
)
def test_a_class_is_mentioned_by_its_words_and_their_inflections(name: str, text: str) -> None:
    assert described((name,), (text,)) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cat", "a category"),
        ("stop sign", "stop"),
        ("bus", "busy"),
        ("sing", "a sink"),
        ("boss", "bos"),
        ("12", "a 12"),
    ],
)
def test_other_words_do_not_mention_a_class(name: str, text: str) -> None:
    assert described((name,), (text,)) == [name]


def test_words_of_a_name_are_in_one_text() -> None:
    assert described(("stop sign",), ("stop here", "a sign")) == ["stop sign"]


def test_forms_of_a_word() -> None:
    assert forms("riding") == {"riding", "rid", "ride"}
    assert forms("grass") == {"grass"}


def test_the_amount_of_text() -> None:
    table = LabelTable(
        ("a", "b", "c"),
        ("cat",),
        np.zeros((3, 1), np.int8),
        texts=(("a red cat", "the cat"), (), ("a dog there",)),
    )
    found = statistics_of_texts(table)
    assert (found.photos, found.per_photo, round(found.words, 3)) == (2, 1.5, 2.667)
    assert found.frequent == ["cat", "red", "dog"]


def test_a_photo_counts_once_if_any_of_its_texts_mentions_a_class() -> None:
    texts = (("a red car", "the cat"), (), ("a bird",), ("two cats", "a cat and a dog"))
    table = LabelTable(tuple("abcd"), ("cat", "dog"), np.zeros((4, 2), np.int8), texts=texts)
    assert photos_with_mentions(table) == 2
    assert photos_with_mentions(table.with_texts(None)) == 0

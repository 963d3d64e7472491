"""Which classes a text mentions, against cases decided by hand."""

import pytest

from partlabel.data.mentions import forms, mentioned, spans_of


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("dog", "A dog on a sofa", True),
        ("dog", "Three DOGS.", True),
        ("dog", "a dogma", False),
        ("cat", "concatenate", False),
        ("bus", "buses in a row", True),
        ("bus", "a bush", False),
        ("pony", "two ponies", True),
        ("knife", "forks and knives", True),
        ("horses", "a horse", True),
        ("person", "some people", True),
        ("man", "a woman", False),
        ("riding", "she rides home", True),
        ("skiing", "on skis", True),
        ("parked car", "cars were parking", True),
        ("king", "a kite", False),
        ("traffic light", "the light of the traffic", True),
        ("traffic light", "a light", False),
        ("traffic light", "#trafficlights", True),
        ("dining_table", "a dining-table", True),
        ("dining-table", "on the dining table", True),
        ("diningTable", "dining tables", True),
        ("diningtable", "on the dining table", True),
        ("carpet", "a car, pet friendly", True),  # the price of `diningtable`
        ("cap", "c ap", False),
        ("Straße", "auf der STRASSE", True),
        ("café", "cafe\u0301 au lait", True),
        ("猫", "沙发上的猫", True),
        ("狗", "沙发上的猫", False),
        ("собака", "большая собака", True),
        ("dog", "🐕🐕", False),
        ("dog", "", False),
        ("!!", "what!!", False),
        ("12", "a 12", False),
        ("boeing 737", "a 737 of Boeing", True),
    ],
)
def test_a_text_mentions_a_class_by_the_words_of_its_name(name, text, expected):
    assert mentioned([name], [text]) == [[0] if expected else []]


def test_several_classes_are_returned_in_their_order():
    classes = ["zebra", "dog", "traffic light", "light"]
    assert mentioned(classes, ["A light, a dog, a zebra", "traffic lights", "nothing"]) == [
        [0, 1, 3],
        [2, 3],
        [],
    ]


def test_a_word_without_an_ending_has_no_other_form():
    assert forms("sheep") == {"sheep"}
    assert forms("glass") == {"glass"}
    assert forms("string") == {"string"}
    assert forms("sitting") == {"sitting", "sitt", "sitte", "sit"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("dog", "Two DOGS, one dogma", ["DOGS"]),
        ("traffic light", "lights of a red traffic sign", ["lights", "traffic"]),
        ("traffic light", "a red light", []),
        ("diningtable", "a dining table", ["dining", "table"]),
        ("hot dog", "#hotdogs", ["hotdogs"]),
        ("\u72ac", "\u5c0f\u72ac\u548c\u72ac", ["\u72ac", "\u72ac"]),
        ("i", "\u0130stanbul", ["\u0130stanbul"]),
    ],
)
def test_the_words_that_mention_a_class_are_found_where_they_are(name, text, expected):
    assert [text[start:end] for start, end in spans_of(name, text)] == expected

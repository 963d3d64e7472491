"""Captions of drawn scenes: they name what is there, and each quality does what it says."""

import numpy as np

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts import attach
from partlabel.demo.scenes import CLASSES
from partlabel.demo.scenes.captions import captions, of_quality, save_captions

LABELS = (np.random.RandomState(0).rand(400, len(CLASSES)) < 0.15).astype(np.int8)
WRITTEN = captions(LABELS, CLASSES, seed=1)


def test_captions_name_about_half_of_what_is_present_and_nothing_else():
    named = np.array([[f" {name}" in f" {caption}" for name in CLASSES] for (caption,) in WRITTEN])
    assert not named[LABELS == 0].any()
    assert 0.45 < named[LABELS == 1].mean() < 0.55
    assert captions(LABELS, CLASSES, seed=1) == WRITTEN


def test_a_caption_is_a_sentence_with_articles():
    labels = np.zeros((2, len(CLASSES)), np.int8)
    labels[0, [CLASSES.index("cat"), CLASSES.index("umbrella")]] = 1
    assert captions(labels, CLASSES, seed=0, named=1.0) == [
        ("a picture with a cat and an umbrella",),
        ("a picture",),
    ]


def test_qualities_remove_or_exchange_captions():
    assert of_quality(WRITTEN, "right", 2) == WRITTEN
    missing = of_quality(WRITTEN, "half missing", 2)
    assert missing[0::2] == [()] * 200
    assert missing[1::2] == WRITTEN[1::2]
    wrong = of_quality(WRITTEN, "half wrong", 2)
    assert wrong[1::2] == WRITTEN[1::2]
    assert sum(one != other for one, other in zip(wrong[0::2], WRITTEN[0::2], strict=True)) > 150
    shuffled = of_quality(WRITTEN, "shuffled", 2)
    assert shuffled != WRITTEN
    assert sorted(shuffled) == sorted(WRITTEN)


def test_the_file_of_captions_is_read_by_texts(tmp_path):
    images = tuple(f"{row}.jpg" for row in range(4))
    table = LabelTable(images, CLASSES, LABELS[:4])
    texts = of_quality(WRITTEN[:4], "half missing", 0)
    file = save_captions(images, texts, tmp_path / "captions.csv")
    assert list(attach(table, [str(file)]).texts) == texts

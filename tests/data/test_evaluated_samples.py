"""Predictions as samples of FiftyOne: counted by a naive loop, and read back as the same labels."""

import numpy as np

from partlabel import LabelTable
from partlabel.core.files import write_json
from partlabel.data.evaluated_samples import evaluated


def test_every_label_says_whether_it_was_predicted_rightly_and_every_sample_how_many(tmp_path):
    random = np.random.default_rng(0)
    labels = random.choice([-1, 0, 1], (20, 5)).astype(np.int8)
    table = LabelTable(tuple(f"{row}.jpg" for row in range(20)), tuple("abcde"), labels, ("val",) * 20)
    probability, least = random.random((20, 5)), np.linspace(0.2, 0.8, 5)
    content = evaluated(table, probability, least)
    for row, sample in enumerate(content["samples"]):
        said = {
            (field, each["label"]): each.get("eval")
            for field in ("positive_labels", "negative_labels", "predictions")
            for each in sample[field]["classifications"]
        }
        counts = dict.fromkeys(("tp", "fp", "fn", "tn"), 0)
        for column, name in enumerate("abcde"):
            yes, label = probability[row, column] >= least[column], labels[row, column]
            word = {1: ("fn", "tp"), 0: ("tn", "fp"), -1: (None, None)}[int(label)][int(yes)]
            if word:
                counts[word] += 1
                assert said["positive_labels" if label == 1 else "negative_labels", name] == word
            assert (("predictions", name) in said) == yes
            assert not yes or said["predictions", name] == word
        assert {name: sample[f"eval_{name}"] for name in counts} == counts
    write_json(tmp_path / "samples.json", content)
    again = LabelTable.read(tmp_path / "samples.json", classes=table.classes)
    assert (again.labels == labels).all() and again.split == table.split
    assert {*content["sample_fields"]} == {*content["samples"][0]}

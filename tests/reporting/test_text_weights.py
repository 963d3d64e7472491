"""What the report and `train` say of the texts beside the photos."""

from pathlib import Path

from informed import collection
from partlabel.core.types import WordFeatures
from partlabel.posthoc.text_evidence import fit_text_evidence
from partlabel.reporting import run_report
from partlabel.reporting.text_weights import TextWeights, text_weights
from partlabel.training.run_folder import Run

WEIGHTS = {"recogniser": 0.62, "text": 0.44, "class_names": 0.49, "similar_texts": 0.0}


def test_weights_are_listed_in_words(tmp_path: Path) -> None:
    texts = TextWeights(WEIGHTS, True)
    assert texts.sentence.endswith("(weights: image 0.62, text 0.44, class names 0.49, similar texts 0.00).")
    page = run_report.build(tmp_path / "report.html", title="a@b", texts=texts).read_text()
    assert "<td>class names</td><td>class names in the texts</td><td>0.49</td>" in page
    assert "<td>similar texts</td><td>labels of photos with similar texts</td><td>none</td>" in page
    assert "The trained model needs the image alone." in page
    assert "Texts beside" not in run_report.build(tmp_path / "plain.html", title="a@b").read_text()


def test_texts_that_do_not_help_and_texts_that_were_not_used_are_told_apart() -> None:
    assert "no weight: they tell no more about unknown labels" in TextWeights({}, True).sentence
    assert "not used" in TextWeights({}, False).sentence


def test_the_tower_is_named_where_it_informs(tmp_path: Path) -> None:
    assert "The tower has no weight: it tells" in TextWeights({}, True, "The tower").sentence
    weights = {"recogniser": 1.0, "zero_shot": 0.5}
    assert TextWeights(weights, True, "The tower").sentence.startswith("The tower informs unknown labels")
    run = Run(tmp_path)
    run.config.write_text('{"training": {"tower": "tower"}}')
    assert text_weights(run, True, True).what == "Texts and the tower"
    assert text_weights(run, False, True).what == "The tower"


def test_weights_are_read_from_the_run_folder(tmp_path: Path) -> None:
    given, _ = collection()
    found = fit_text_evidence(
        given.logits.numpy(), given.labels.numpy(), WordFeatures(given.text), "words", given.fold.numpy()
    )
    run = Run(tmp_path)
    assert text_weights(run, False, True) is None and text_weights(run, True, False) is None
    assert text_weights(run, True, True) == TextWeights({}, False)
    found[0].save(run.texts)
    run.selection.write_text("{}")
    read = text_weights(run, True, True)
    assert read.searched and read.weights == found[0].teacher.weights and read.weights["text"] > 0

"""What texts beside the training photos and class names contributed to a run, for the report and for the terminal."""

from collections.abc import Mapping
from typing import NamedTuple

from partlabel.core.files import read_json
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.training.run_folder import Run

MEANING = {
    "recogniser": "what the image shows",
    "text": "words of the texts, learned from known labels",
    "class_names": "class names in the texts",
    "similar_texts": "labels of photos with similar texts",
    "second_backbone": "what the second backbone sees",
    "second_similar_images": "labels of photos that look similar to the second backbone",
    "zero_shot": "class names compared with the image by the tower",
}
"""What each source of `posthoc/text_evidence.py` uses."""
TEXTS, TOWER = "Texts", "The tower"
SHORT = {
    "recogniser": "image",
    "class_names": "class names",
    "similar_texts": "similar texts",
    "zero_shot": "tower",
}


class TextWeights(NamedTuple):
    """Weights of evidence for unknown labels, where the training photos have texts or a tower knows the class names.

    Attributes:
        weights: Weight of each source by name: log-odds per standard deviation of its score; empty without evidence.
        searched: Whether the run learned from texts at all, which only a search of settings does.
        what: What was given to the run.
    """

    weights: Mapping[str, float]
    searched: bool
    what: str = TEXTS

    @property
    def sentence(self) -> str:
        """What texts and tower contributed."""
        if not self.searched:
            return "Texts were not used: only --method auto, or a method that is fitted full batch, learns from them."
        if not any(weight for name, weight in self.weights.items() if name != "recogniser"):
            have, tell = ("has", "it tells") if self.what == TOWER else ("have", "they tell")
            return (
                f"{self.what} {have} no weight: {tell} no more about unknown labels than what the trained model sees "
                "in the image."
            )
        listed = ", ".join(f"{SHORT.get(name, name)} {weight:.2f}" for name, weight in self.weights.items())
        inform = "informs" if self.what == TOWER else "inform"
        return f"{self.what} {inform} unknown labels when a table is filled or reviewed (weights: {listed})."

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        """Name, meaning and weight of each source; none without evidence."""
        return [
            (SHORT.get(name, name), MEANING.get(name, ""), weight) for name, weight in self.weights.items()
        ]


def text_weights(run: Run, with_texts: bool, known: bool) -> TextWeights | None:
    """Read from a run folder what texts and tower contributed; None if there are none, or nothing to weigh them by.

    Args:
        run: Run folder, after training.
        with_texts: Whether the training photos have texts.
        known: Whether any of their labels is known.
    """
    training = read_json(run.config).get("training", {}) if run.config.exists() else {}
    with_tower = training.get("tower") is not None
    if not known or not (with_texts or with_tower):
        return None
    weights = TextEvidence.load(run.texts).teacher.weights if run.texts.exists() else {}
    what = TOWER if not with_texts else f"{TEXTS} and the tower" if with_tower else TEXTS
    return TextWeights(weights, run.selection.exists(), what)

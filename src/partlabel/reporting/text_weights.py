"""What the texts beside the training photos contributed to a run, for the report and for the terminal."""

from collections.abc import Mapping
from typing import NamedTuple

from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.training.run_folder import Run

MEANING = {
    "recogniser": "what the image shows",
    "text": "words of the texts, learned from known labels",
    "class_names": "class names in the texts",
    "similar_texts": "labels of photos with similar texts",
    "second_backbone": "what the second backbone sees",
    "second_similar_images": "labels of photos that look similar to the second backbone",
}
"""What each source of `posthoc/text_evidence.py` uses."""
SHORT = {"recogniser": "image", "class_names": "class names", "similar_texts": "similar texts"}


class TextWeights(NamedTuple):
    """Weights of evidence for unknown labels, where the training photos have texts.

    Attributes:
        weights: Weight of each source by name: log-odds per standard deviation of its score; empty without evidence.
        searched: Whether the run learned from texts at all, which only a search of settings does.
    """

    weights: Mapping[str, float]
    searched: bool

    @property
    def sentence(self) -> str:
        """What the texts contributed."""
        if not self.searched:
            return "Texts were not used: only --method auto, or a method that is fitted full batch, learns from them."
        if not any(weight for name, weight in self.weights.items() if name != "recogniser"):
            return (
                "Texts have no weight: they tell no more about unknown labels than what the trained model sees in "
                "the image."
            )
        listed = ", ".join(f"{SHORT.get(name, name)} {weight:.2f}" for name, weight in self.weights.items())
        return f"Texts inform unknown labels when a table is filled or reviewed (weights: {listed})."

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        """Name, meaning and weight of each source; none without evidence."""
        return [
            (SHORT.get(name, name), MEANING.get(name, ""), weight) for name, weight in self.weights.items()
        ]


def text_weights(run: Run, with_texts: bool) -> TextWeights | None:
    """Read from a run folder what the texts contributed; None if the training photos have no texts.

    Args:
        run: Run folder, after training.
        with_texts: Whether the training photos have texts, and known labels to weigh them by.
    """
    if not with_texts:
        return None
    weights = TextEvidence.load(run.texts).teacher.weights if run.texts.exists() else {}
    return TextWeights(weights, run.selection.exists())

"""What belongs to the network of a tagger follows its classes: completion, texts, tuning, out-of-fold logits."""

from collections.abc import Sequence

import numpy as np

from partlabel.posthoc import tuning_columns
from partlabel.posthoc.label_completion import Completion
from partlabel.training.recognizer import Recognizer


def carry_over(tagger: Recognizer, made: Recognizer, columns: Sequence[int]) -> None:
    """Give a tagger the evidence of the one that it was made of.

    Classes without a predecessor get none: known labels of other classes, texts and class names do not inform them.
    The tuning has the classes with a predecessor alone, so that it is complete only where all have one.

    Args:
        tagger: The tagger as it was.
        made: The tagger of other classes; changed in place.
        columns: For each class of `made` its number in `tagger`, -1 for none.
    """
    at = np.array(columns)
    kept = at[at >= 0].tolist()
    if tagger.completion is not None:
        votes = np.zeros((len(at), len(at)), np.float32)
        votes[np.ix_(at >= 0, at >= 0)] = tagger.completion.votes[np.ix_(kept, kept)]
        made.completion = Completion(votes)
    if tagger.texts is not None:
        made.texts = tagger.texts.of_columns(columns, tagger.classes)
    if tagger.tuning is not None:
        names = [name for name, old in zip(made.classes, columns, strict=True) if old >= 0]
        made.tuning = tuning_columns.selected(tagger.tuning, kept, names)

"""A recogniser whose classes can change after training, as those of `partlabel.Tagger` can."""

from collections.abc import Sequence
from typing import TypeVar

from partlabel.core.rules import Rules
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.vocabulary import Edits
from partlabel.training.recognizer import Recognizer

E = TypeVar("E", bound="EditableRecognizer")


class EditableRecognizer(Recognizer):
    """A recogniser with functions that change its classes.

    Arguments, attributes and errors are those of `partlabel.Tagger`.
    """

    def extend(
        self: E,
        table: LabelTable,
        classes: Sequence[str] | None = None,
        *,
        trained_on: LabelTable | None = None,
        seed: int = 0,
        rules: Rules | None = None,
    ) -> E:
        """Return a tagger with more classes; this one is unchanged.

        The logits of the old classes stay the same bit for bit. The new classes are fitted on features of the frozen
        backbone, with a weight decay found by cross-validation. Thresholds and calibration of the old classes stay;
        where there are any, those of the new classes are fitted to the new classes alone.

        Args:
            table: Label table with the new classes; known labels of old classes are not learned from.
            classes: New classes; None for all columns of the table that the tagger does not have.
            trained_on: Label table that the tagger was trained on, whose images take part with unknown labels of the
                new classes; None for the training images of the run that the tagger was loaded from, if it kept
                out-of-fold predictions.
            seed: Random seed of the folds.
            rules: Further rules between the classes, old and new; those of the tagger are kept. Logits stay the same,
                but probabilities of old classes obey the new rules.

        Raises:
            ValueError: The tagger is not fitted or has one of the classes already, the table lacks one, no present
                label of one is known, all training images show it, or rules contradict each other.
            OSError: An image cannot be read.
        """
        from partlabel.training import extension

        made = extension.extend(self, table, classes, trained_on, seed=seed, rules=rules).tagger
        assert isinstance(made, type(self))
        return made

    def edited(self: E, edits: Edits) -> E:
        """Return a tagger whose classes are renamed, merged or dropped; this one is unchanged.

        The logit of a merged class is the larger one of both. Logits of all other classes stay the same bit for bit.

        Args:
            edits: Changes, such as `Edits(rename=(("cab", "taxi"),))`.

        Raises:
            ValueError: There is no such class, a new name is that of another one, or a class is to be split.
        """
        from partlabel.training import vocabulary_edits

        made = vocabulary_edits.edit(self, edits)
        assert isinstance(made, type(self))
        return made

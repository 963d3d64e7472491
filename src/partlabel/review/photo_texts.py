"""Texts beside the photo of a question as a reason: what they change, and which of their words decide.

Words that mention the class are marked. Where the model learned from texts and texts are embedded quickly, other words
are marked too by what the log-odds lose without them (leave one out).
"""

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import expit

from partlabel.core.types import WordFeatures
from partlabel.data import embedders
from partlabel.data.embedders import Embedder
from partlabel.data.mentions import spans_of
from partlabel.data.text_features.leave_one_out import word_effects
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.review.explanations import MOVES

MOST_TEXTS = 8
"""Maximum number of texts shown; those that mention the class come first."""
LONGEST = 400
"""Characters of a text from which on it is cut."""
MOST_WORDS = 3
"""Maximum number of words of a text that are marked because the log-odds change without them."""
Span = tuple[int, int]


class TextPiece(NamedTuple):
    """A piece of a text.

    Attributes:
        text: Its characters.
        kind: `names` for a word that mentions the class, `for` and `against` for one that moves the log-odds, else
            empty.
    """

    text: str
    kind: str = ""


class TextReason(NamedTuple):
    """What the texts of a photo say about a class.

    Attributes:
        texts: Each text in pieces.
        more: Number of texts that are not shown.
        without: Probability without the texts; None if the model learned nothing from texts.
        with_texts: Probability with the texts; None likewise.
    """

    texts: list[list[TextPiece]]
    more: int
    without: float | None
    with_texts: float | None


class PhotoTexts:
    """Texts of the photos of a table, and what was learned from them.

    Args:
        texts: Texts of each photo; None without texts.
        classes: Class names.
        logits: Logits of the recogniser, by the image alone; NaN where an image cannot be read.
        evidence: What was learned from texts and class names; None if nothing was.
        features: Features of the texts, and logits by class names; None without evidence.

    Attributes:
        logits: Logits with the evidence of texts and class names.
    """

    def __init__(
        self,
        texts: Sequence[Sequence[str]] | None,
        classes: Sequence[str],
        logits: Float[np.ndarray, "image class"],
        evidence: TextEvidence | None = None,
        features: WordFeatures | None = None,
    ) -> None:
        self.texts, self.classes, self.alone = texts, classes, logits
        self.evidence = evidence if features is not None else None
        self.features = features
        self.logits = logits
        if self.evidence is not None and features is not None:
            self.logits = _with_evidence(logits, self.evidence, features)

    def reason(self, row: int, column: int) -> TextReason | None:
        """Describe what the texts of a photo say about a class; None if it has no text.

        Args:
            row: Row of the photo.
            column: Column of the class.
        """
        if self.texts is None or not self.texts[row]:
            return None
        written = [unicodedata.normalize("NFC", text) for text in self.texts[row]]
        named = [spans_of(self.classes[column], text) for text in written]
        order = sorted(range(len(written)), key=lambda number: not named[number])[:MOST_TEXTS]
        shown = [
            in_pieces(written[number], named[number], self._moving(written[number], column, len(written)))
            for number in order
        ]
        without = with_texts = None
        if self.evidence is not None and self.evidence.embedder:
            without, with_texts = self._without(row, column), float(expit(float(self.logits[row, column])))
        return TextReason(shown, len(written) - len(order), without, with_texts)

    def again(self, logits: Float[np.ndarray, "image class"], evidence: TextEvidence | None) -> "PhotoTexts":
        """Return the same texts beside other logits, with other evidence."""
        return PhotoTexts(self.texts, self.classes, logits, evidence, self.features)

    @cached_property
    def _embedder(self) -> Embedder | None:
        named = self.evidence is not None and self.evidence.embedder
        return embedders.find(named) if named else None

    def _without(self, row: int, column: int) -> float:
        """Compute the probability of a photo as if it had no text."""
        assert self.evidence is not None and self.features is not None
        silent = self.features.rows(torch.tensor([row]))._replace(text=self.evidence.no_text(1))
        found = self.evidence.logits(self.alone[[row]], silent)
        return float(expit(float(found[0, column])))

    def _moving(self, text: str, column: int, texts: int) -> dict[Span, float]:
        """Compute by how much each word of one of several texts raises the log-odds of a class."""
        slope = None if self.evidence is None else self.evidence.text_slope(column)
        if slope is None or len(text) > LONGEST:
            return {}
        if self._embedder is None or not self._embedder.quick:
            return {}
        spans, effects = word_effects(text, self._embedder)
        return dict(zip(spans, (effects @ slope / texts).tolist(), strict=True))


def in_pieces(text: str, named: Sequence[Span], moving: dict[Span, float]) -> list[TextPiece]:
    """Divide a text into pieces; a text that is too long is cut.

    Args:
        text: Text.
        named: Words that mention the class, in order.
        moving: Change of the log-odds by each word; the largest ones are marked.
    """
    kinds = dict.fromkeys(named, "names")
    for span in sorted(moving, key=lambda each: -abs(moving[each]))[:MOST_WORDS]:
        if abs(moving[span]) >= MOVES:
            kinds.setdefault(span, "for" if moving[span] > 0 else "against")
    pieces, at = [], 0
    for start, end in sorted(kinds):
        if start < at or end > LONGEST:
            continue
        pieces += [TextPiece(text[at:start]), TextPiece(text[start:end], kinds[start, end])]
        at = end
    rest = text[at:] if len(text) <= LONGEST else f"{text[at:LONGEST]} …"
    return [piece for piece in (*pieces, TextPiece(rest)) if piece.text]


def _with_evidence(
    logits: Float[np.ndarray, "image class"], evidence: TextEvidence, features: WordFeatures
) -> Float[np.ndarray, "image class"]:
    """Combine logits with the evidence of words; NaN of unreadable images stays."""
    readable = np.isfinite(logits).all(axis=1)
    found = logits.copy()
    if readable.any():
        found[readable] = evidence.logits(logits[readable], features.rows(torch.from_numpy(readable)))
    return found

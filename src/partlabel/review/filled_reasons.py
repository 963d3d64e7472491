"""One sentence for each label that a table was filled with: which evidence speaks for it, the strongest first."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from partlabel.review.explanations import MOVES, Vote

LONGEST = 80
"""Characters of a text from which on it is cut."""
MOST = 3
"""Maximum number of classes that are named."""


class LabelEvidence(NamedTuple):
    """What speaks for one label.

    Attributes:
        image: Probability by the image alone.
        shares: Log-odds that each source adds, relative to its mean; empty without evidence of texts or class names.
        text: Text of the photo to cite; empty without one.
        votes: Changes of the log-odds by known labels of the image.
        similar: Number of the most similar photos that show the class, and number of those counted; (0, 0) if unknown.
    """

    image: float
    shares: Mapping[str, float]
    text: str
    votes: Sequence[Vote]
    similar: tuple[int, int] = (0, 0)


def reason_of_label(evidence: LabelEvidence) -> str:
    """Compose the sentence.

    Args:
        evidence: What speaks for the label.
    """
    texts = sum(share for name, share in evidence.shares.items() if name not in ("recogniser", "zero_shot"))
    parts = [(evidence.shares.get("recogniser", float("inf")), f"image: {evidence.image:.0%} by itself")]
    if evidence.text and texts >= MOVES:
        cut = evidence.text if len(evidence.text) <= LONGEST else f"{evidence.text[:LONGEST].rstrip()} …"
        parts.append((texts, f'text: "{cut}"'))
    if (named := evidence.shares.get("zero_shot", 0.0)) >= MOVES:
        parts.append((named, "resembles the class name by the tower"))
    for present, word in ((True, "co-occurs with"), (False, "goes with the absence of")):
        told = sorted(
            (vote for vote in evidence.votes if vote.present is present and vote.odds >= MOVES),
            key=lambda vote: -vote.odds,
        )
        if told:
            names = ", ".join(vote.name for vote in told[:MOST])
            parts.append((sum(vote.odds for vote in told), f"{word} {names}"))
    sentences = [text for _, text in sorted(parts, key=lambda part: -part[0])]
    showing, counted = evidence.similar
    if showing:
        sentences.append(f"{showing} of {counted} similar photos")
    return "; ".join(sentences)

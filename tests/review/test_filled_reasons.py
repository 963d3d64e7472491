"""The sentence that explains a filled label, composed by hand."""

from partlabel.review.explanations import Vote
from partlabel.review.filled_reasons import LabelEvidence, reason_of_label


def test_evidence_is_named_by_its_contribution_and_similar_photos_come_last():
    shares = {"recogniser": 0.3, "text": 0.9, "class_names": 0.4, "similar_texts": -0.2}
    votes = [
        Vote("person", True, 0.5),
        Vote("car", False, 0.05),
        Vote("cat", False, 0.2),
        Vote("bus", True, -2.0),
    ]
    found = reason_of_label(LabelEvidence(0.4, shares, "a dog on a sofa", votes, (14, 20)))
    assert found == (
        'text: "a dog on a sofa"; co-occurs with person; image: 40% by itself; goes with the absence of cat; '
        "14 of 20 similar photos"
    )


def test_a_text_that_does_not_speak_for_the_label_is_not_cited():
    assert (
        reason_of_label(LabelEvidence(0.97, {"recogniser": 2.0, "text": 0.05}, "a dog", []))
        == "image: 97% by itself"
    )
    assert reason_of_label(LabelEvidence(0.97, {}, "a dog", [], (0, 20))) == "image: 97% by itself"


def test_a_long_text_is_cut():
    found = reason_of_label(LabelEvidence(0.5, {"recogniser": 0.0, "text": 1.0}, "dog " * 100, []))
    assert found == f'text: "{("dog " * 100)[:80].rstrip()} …"; image: 50% by itself'

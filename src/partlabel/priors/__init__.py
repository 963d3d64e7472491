"""Labels are not missing at random: how they became known, and its effect on probabilities (docs/probabilities.md).

`label_selection.py` describes how labels became known; `selection_model.py` and `estimators.py` estimate it and the
class priors; `correcting.py` computes the correction of probabilities (`correction.py`) from the best available source:
`from_calibration_set.py` (with `recalibration.py`), `from_prevalence.py`, `from_drawn_labels.py` (labels that a review
drew at random, `reviewed.py`), or the estimate; `expected.py` estimates how
many filled labels are correct and chooses them at a precision; `calibration_set.py` and `prevalence.py` read input of
the user.
"""

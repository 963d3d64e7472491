"""Labels are not missing at random: how they became known, and what that does to probabilities (docs/probabilities.md).

`label_selection.py` describes how labels became known; `selection_model.py` and `estimators.py` estimate it and the
class priors; `correcting.py` finds the correction of probabilities (`correction.py`) by the best source there is:
`from_calibration_set.py` (with `recalibration.py`), `from_prevalence.py`, or the estimate; `expected.py` says how many
filled labels are right and chooses them at a precision; `calibration_set.py` and `prevalence.py` read what is given.
"""

"""`--method auto`: find method, head and weight decay by cross-validation on the known labels (docs/selection.md).

======================  ================================================================================
cross_validation.py     folds over images; a training set in folds; the solver as methods see it
criteria.py             the criterion of a candidate, computed from its out-of-fold logits
candidates.py           the candidates: rules for unknown labels, on heads
search.py               the order in which candidates are tried
choice.py               the choice among candidates that cross-validation cannot distinguish
unlabelled.py           the search where no label is known
result.py               the result, as a table and as JSON; out-of-fold logits in a file
======================  ================================================================================
"""

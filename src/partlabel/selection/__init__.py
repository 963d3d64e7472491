"""`--method auto`: find method, head and weight decay by cross-validation on the known labels (docs/selection.md).

======================  ================================================================================
linear_path.py          the full-batch solver: many regularised logistic regressions at once
cross_validation.py     folds over images; a training set in folds; the solver as methods see it
criteria.py             what a candidate is judged by
candidates.py           what is compared: rules for unknown labels, heads
search.py               in which order, and what is kept
result.py               what was found, as a table and as JSON; out-of-fold logits in a file
======================  ================================================================================
"""

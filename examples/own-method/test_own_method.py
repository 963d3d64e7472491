"""The contract of partlabel's methods, held by a method of one's own: `pytest examples/own-method`."""

from own_method import WeakNegatives

from partlabel.testing import parametrize_with_checks


@parametrize_with_checks([WeakNegatives])
def test_the_contract_holds(kind, check):
    """Each check of the contract is a test of its own."""
    check(kind)

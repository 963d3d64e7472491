"""Contract tests for methods, losses and heads, for those of this package and for your own.

In a test file of your package:

    from partlabel.testing import parametrize_with_checks
    from my_package import MyMethod

    @parametrize_with_checks([MyMethod])
    def test_the_contract_holds(kind, check):
        check(kind)

Every class is tested by the checks of its kind: `METHOD_CHECKS`, `LOSS_CHECKS` or `HEAD_CHECKS`. The decorator follows
the idea of scikit-learn's `parametrize_with_checks`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from partlabel.losses._base import Loss
from partlabel.methods import Method
from partlabel.nn.heads import Head
from partlabel.testing.heads import HEAD_CHECKS
from partlabel.testing.losses import LOSS_CHECKS
from partlabel.testing.methods import METHOD_CHECKS

__all__ = ["HEAD_CHECKS", "LOSS_CHECKS", "METHOD_CHECKS", "checks_of", "parametrize_with_checks"]


def checks_of(kind: type) -> tuple[Callable[[Any], None], ...]:
    """List the checks of a class.

    Args:
        kind: A subclass of `Method`, `Head` or `Loss`.

    Raises:
        TypeError: It is none of the three.
    """
    for base, checks in ((Method, METHOD_CHECKS), (Head, HEAD_CHECKS), (Loss, LOSS_CHECKS)):
        if isinstance(kind, type) and issubclass(kind, base):
            return checks
    raise TypeError(f"{kind!r} is no method, head or loss: derive it from Method, Head or Loss")


def parametrize_with_checks(kinds: Iterable[type]) -> Any:
    """Build a decorator that runs a test once for every class and each of its checks.

    Args:
        kinds: Classes; the test takes the arguments `kind` and `check`.
    """
    import pytest

    pairs = [(kind, check) for kind in kinds for check in checks_of(kind)]
    ids = [f"{kind.__name__}-{check.__name__.removeprefix('check_')}" for kind, check in pairs]
    return pytest.mark.parametrize(("kind", "check"), pairs, ids=ids)

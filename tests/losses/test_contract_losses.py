"""What every loss `(logits, Targets) -> scalar` in the folder keeps: the public checks of `partlabel.testing`."""

import pytest

from partlabel import losses
from partlabel.core import registry
from partlabel.losses.partial_bce import PartialBCE
from partlabel.testing import LOSS_CHECKS, parametrize_with_checks

LOSSES = [
    registry.find(losses.__name__, name)
    for name in registry.names(losses.__name__)
    if name not in ("contrastive", "info_nce")
]


@parametrize_with_checks(LOSSES)
def test_the_contract_of_losses_holds(kind, check):
    check(kind)


def test_the_checks_find_a_loss_that_breaks_the_contract():
    """Each of these losses is refused by the check that it is made for."""

    class Nan(PartialBCE):
        def forward(self, logits, targets):
            return super().forward(logits, targets) * float("nan")

    class Sees(PartialBCE):
        def forward(self, logits, targets):
            return super().forward(logits, targets) + logits.mean() ** 2

    class Flipped(PartialBCE):
        def forward(self, logits, targets):
            return super().forward(-logits, targets)

    class Half(PartialBCE):
        def forward(self, logits, targets):
            return super().forward(logits, targets).to(logits.dtype)

    by_name = {check.__name__: check for check in LOSS_CHECKS}
    for kind, name in {
        Nan: "check_value_and_gradient_are_finite",
        Sees: "check_unknown_labels_change_neither_value_nor_gradient",
        Flipped: "check_right_costs_less_than_wrong",
        Half: "check_half_precision_logits_lose_digits_alone",
    }.items():
        with pytest.raises(AssertionError):
            by_name[name](kind)

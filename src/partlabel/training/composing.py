"""From a fitted tagger to one of other classes: the same networks side by side on the same backbone."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from partlabel.core.rules import Rules
from partlabel.methods._composed import part_state
from partlabel.training.composition import Composition, FittedPart
from partlabel.training.recognizer import Recognizer


def composition_of(tagger: Recognizer) -> Composition:
    """Return the composition of a tagger; of a plain one a single part, each of whose columns is a class."""
    if tagger.composition is not None:
        return tagger.composition
    settings, rules = tagger.settings, None if tagger.rules is None else tagger.rules.to_json()
    part = FittedPart(
        tagger.classes,
        settings["method"],
        settings["method_args"],
        settings["head"],
        settings["head_args"],
        tagger.word_dim,
        rules,
    )
    return Composition((part,), tuple((at,) for at in range(len(tagger.classes))))


def composed_state(tagger: Recognizer) -> dict[str, Tensor]:
    """Return the state of a tagger's network under the names that it has in a composition."""
    model = tagger.fitted_model()
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    if tagger.composition is not None:
        return state
    (part,) = composition_of(tagger).parts
    channels = model.head.channels
    found = {name: value for name, value in state.items() if name.startswith("backbone.")}
    return found | {f"head.parts.0.{k}": v for k, v in part_state(part.build(channels), state).items()}


def with_classes(
    tagger: Recognizer,
    classes: Sequence[str],
    composition: Composition | None,
    rules: Rules | None,
    state: Mapping[str, Tensor],
) -> Recognizer:
    """Make the tagger of other classes: the same backbone, and a composition or the same network.

    Args:
        tagger: Fitted tagger; unchanged.
        classes: Classes of the result.
        composition: Its parts and columns; None for the network of a plain tagger, with as many classes.
        rules: Rules between its classes; None without rules.
        state: State of the network.
    """
    described = tagger.description() | {"classes": list(classes), "rules": rules and rules.to_json()}
    if composition is not None:
        described |= {"composition": composition.to_json(), "word_dim": None}
    made = type(tagger).restored(described, state)
    made.cache, made.recipe, made.tower = tagger.cache, tagger.recipe, tagger.tower
    return made

"""Changes of the classes of a trained tagger: rename, merge and drop, without training.

The network stays as it is. A class that was dropped is a column that no class names. The logit of a merged class is
the larger one of both: a photo shows the merged class where it shows either, and the larger logit is the evidence for
that which the network has. The class that was merged into keeps its threshold and calibration, which `partlabel tune`
fits again.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from partlabel.core.labels import UNKNOWN
from partlabel.core.messages import some
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TRAIN
from partlabel.data.tables.vocabulary import Edits
from partlabel.training.carrying import carry_over
from partlabel.training.composing import composed_state, composition_of, with_classes
from partlabel.training.out_of_fold import OutOfFold
from partlabel.training.recognizer import Recognizer


def edit(
    tagger: Recognizer, edits: Edits, table: LabelTable | None = None, name: str | None = None
) -> Recognizer:
    """Return the tagger of other classes; this one is unchanged.

    Args:
        tagger: Fitted tagger.
        edits: Changes, of classes that the tagger has; not a split.
        table: Table of its run after the changes; None where there is none.
        name: Name of the new tagger's run; None for that of the tagger.
    """
    check(tagger, edits)
    found = edits.names(tagger.classes)
    classes, united = [name for name, _ in found], [of for _, of in found]
    rules = None if tagger.rules is None else edited_rules(tagger.rules, dict(_meanings(tagger, edits)))
    before = composition_of(tagger)
    if united == [[at] for at in range(len(tagger.classes))]:  # the same columns under other names
        made = with_classes(tagger, classes, tagger.composition, rules, tagger.fitted_model().state_dict())
    else:
        columns = tuple(tuple(column for at in of for column in before.columns[at]) for of in united)
        made = with_classes(tagger, classes, replace(before, columns=columns), rules, composed_state(tagger))
    if name is not None:
        made.name = f"{tagger.name.rpartition('@')[0]}@{name}"
    carry_over(tagger, made, [of[0] for of in united])
    kept = tagger.out_of_fold
    if kept is not None and table is not None:
        logits = np.stack([kept.logits[:, of].max(1) for of in united], 1)
        texts = kept.with_texts
        with_texts = None if texts is None else np.stack([texts[:, of].max(1) for of in united], 1)
        made.out_of_fold = OutOfFold(table.part(TRAIN), logits, with_texts)
    return made


def check(tagger: Recognizer, edits: Edits) -> None:
    """Check that a tagger can be changed so.

    Raises:
        ValueError: A change names no class of it or a name that another class has, or a class is to be split.
    """
    for name, into in edits.split:
        parts = ",".join(into)
        raise ValueError(
            f"{name!r} of a trained tagger cannot be split, because it does not tell {some(into)} apart: split the "
            f"table (partlabel vocabulary TABLE --split {name}={parts} --out split.csv), label some of them there, and "
            f"add them to the tagger (partlabel extend RUN --labels split.csv --classes {parts} --out RUN2)"
        )
    blank = LabelTable(("any",), tagger.classes, np.full((1, len(tagger.classes)), UNKNOWN, np.int8))
    if not edits.apply(blank)[0].classes:
        raise ValueError("a tagger needs a class: drop fewer")


def _meanings(tagger: Recognizer, edits: Edits) -> list[tuple[str, str]]:
    """Return each old class that is still there, and its name now."""
    return [(tagger.classes[at], name) for name, of in edits.names(tagger.classes) for at in of]


def edited_rules(rules: Rules, names: Mapping[str, str]) -> Rules | None:
    """Return the rules of other classes, None without any: what implied a dropped class implies what that implied.

    Args:
        rules: Rules.
        names: For each class that is still there its name now.
    """
    gone = [name for name in rules.classes if name not in names]
    found = list(rules.rules)
    for name in gone:
        below = [rule.classes[0] for rule in found if rule.kind == "implies" and rule.classes[1] == name]
        above = [rule.classes[1] for rule in found if rule.kind == "implies" and rule.classes[0] == name]
        found += [ClassRule("implies", (low, high)) for low in below for high in above]
        found = [rule for rule in found if rule.kind != "implies" or name not in rule.classes]
        found = [_without(rule, name) for rule in found]
    changed = [
        rule._replace(classes=tuple(dict.fromkeys(names[each] for each in rule.classes))) for rule in found
    ]
    kept = tuple(rule for rule in changed if len(rule.classes) > 1)
    adds = tuple(dict.fromkeys(names[name] for name in rules.adds if name in names))
    return replace(rules, rules=kept, adds=adds) if kept else None


def _without(rule: ClassRule, name: str) -> ClassRule:
    """Return a list without a class; of exactly one of several, at most one of the others is then present."""
    if name not in rule.classes:
        return rule
    return ClassRule("excludes", tuple(each for each in rule.classes if each != name))

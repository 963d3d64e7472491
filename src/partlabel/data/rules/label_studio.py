"""A labelling configuration of Label Studio: taxonomies and nested choices, and choices of which one is chosen."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from partlabel.core.rules import ClassRule, RuleKind, Rules
from partlabel.data.readers import _xml

LISTS = ("Taxonomy", "Choices")


def recognises(path: Path) -> bool:
    """Return whether the file is .xml with a `View`."""
    return path.is_file() and path.suffix.lower() == ".xml" and _xml.first_tag(path) == "View"


def read(path: Path) -> Rules:
    """Read the choices.

    A choice inside another implies it. The choices of `Choices` with `choice="single"` exclude each other, and one of
    them is present if they are `required`.

    Raises:
        ValueError: It is not XML, or has no choices.
    """
    root = _xml.parse(path)
    lists = [each for each in root.iter() if each.tag in LISTS]
    if not any(True for each in lists for _ in each.iter("Choice")):
        raise ValueError(
            f"{path}: no Taxonomy and no Choices with a Choice; export the labelling configuration again"
        )
    rules = [rule for each in lists for rule in (*_nested(each), *_single(each))]
    return Rules(tuple(rules), (), str(path), names_all=False)


def _nested(element: ElementTree.Element) -> Iterator[ClassRule]:
    for above in element.iter("Choice"):
        for below in above.findall("Choice"):
            yield ClassRule("implies", (below.get("value", ""), above.get("value", "")))


def _single(element: ElementTree.Element) -> Iterator[ClassRule]:
    names = tuple(each.get("value", "") for each in element.findall("Choice"))
    single = element.tag == "Choices" and element.get("choice", "single") == "single"
    if single and len(names) > 1:
        kind: RuleKind = "one_of" if element.get("required", "false").lower() == "true" else "excludes"
        yield ClassRule(kind, names)

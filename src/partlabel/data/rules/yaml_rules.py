"""The form of this package: a YAML file with `implies`, `excludes`, `one_of` and `adds`."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from partlabel.core.errors import first_line
from partlabel.core.messages import did_you_mean
from partlabel.core.rules import KINDS, ClassRule, Rules
from partlabel.core.text_files import lines_of

FORM = "implies: {dog: [animal]}, excludes: [[day, night]], one_of: [[indoor, outdoor]], adds: [animal]"


def recognises(path: Path) -> bool:
    """Return whether the file ends in .yaml or .yml."""
    return path.is_file() and path.suffix.lower() in (".yaml", ".yml")


def read(path: Path) -> Rules:
    """Read the rules with the lines that they stand in.

    Raises:
        ValueError: It is not YAML, a key does not exist, or a value has another form.
    """
    try:
        root = yaml.compose("\n".join(lines_of(path)), yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {first_line(error)}; its form is {FORM}") from error
    rules: list[ClassRule] = []
    adds: list[str] = []
    for key, value in _pairs(path, root) if root is not None else ():
        name = _text(path, key)
        if name == "implies":
            rules += _implications(path, value)
        elif name in KINDS:
            rules += [
                ClassRule(name, tuple(_names(path, each)), _line(each)) for each in _items(path, value, name)
            ]
        elif name == "adds":
            adds += _names(path, value)
        else:
            known = (*KINDS, "adds")
            raise ValueError(
                f"{path}, line {_line(key)}: there is no key {name!r}{did_you_mean(name, known)}; keys: "
                f"{', '.join(known)}"
            )
    return Rules(tuple(rules), tuple(dict.fromkeys(adds)), str(path))


def _implications(path: Path, value: yaml.Node) -> Iterator[ClassRule]:
    for key, implied in _pairs(path, value):
        name, line = _text(path, key), _line(key)
        for other in (
            [_text(path, implied)] if isinstance(implied, yaml.ScalarNode) else _names(path, implied)
        ):
            yield ClassRule("implies", (name, other), line)


def _pairs(path: Path, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    if _is_empty(node):
        return []
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{path}, line {_line(node)}: names with values are expected here, as in {FORM}")
    return node.value


def _items(path: Path, node: yaml.Node, key: str) -> list[yaml.Node]:
    """Return the lists of classes; a plain list of names is one of them."""
    if _is_empty(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(
            f"{path}, line {_line(node)}: {key} takes lists of classes, such as {key}: [[day, night]]"
        )
    if node.value and all(isinstance(each, yaml.ScalarNode) for each in node.value):
        return [node]
    return node.value


def _names(path: Path, node: yaml.Node) -> list[str]:
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(
            f"{path}, line {_line(node)}: a list of classes is expected here, such as [day, night]"
        )
    return [_text(path, each) for each in node.value]


def _text(path: Path, node: yaml.Node) -> str:
    """Return a name as it is written, so that `no` and `2024` are names of classes, too."""
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise ValueError(f"{path}, line {_line(node)}: the name of a class is expected here, as in {FORM}")
    return node.value


def _is_empty(node: yaml.Node) -> bool:
    """Return whether nothing follows a key, since all its lines are comments."""
    return isinstance(node, yaml.ScalarNode) and not node.value


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1

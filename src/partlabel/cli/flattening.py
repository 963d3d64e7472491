"""Options that several commands have are dataclasses: a command takes one, and its fields become options.

A field is documented in its dataclass. A command where an option means more documents it in its own docstring.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def flattened(command: Callable) -> Callable:
    """Return a function whose signature and docstring are those of a command, with fields instead of dataclasses."""
    texts: dict[str, str] = {}
    parameters: list[inspect.Parameter] = []
    shared = _shared(command)
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in shared:
            kind = shared[parameter.name]
            parameters += inspect.signature(kind).parameters.values()
            texts |= documented(kind)
        elif parameter.kind is not parameter.VAR_KEYWORD:
            parameters.append(parameter)
    texts |= documented(command)
    described = [f"    {each.name}: {texts[each.name]}" for each in parameters if each.name in texts]

    def options() -> None: ...

    anywhere = [each.replace(kind=each.POSITIONAL_OR_KEYWORD) for each in parameters]
    anywhere.sort(key=lambda each: each.default is not each.empty)  # a signature begins with what is required
    options.__signature__ = inspect.Signature(anywhere)  # type: ignore[attr-defined]
    options.__doc__ = "\n".join(["Options.", "", "Args:", *described])
    return options


def gathered(command: Callable, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command for the values of its options."""
    arguments = dict(values)
    for name, kind in _shared(command).items():
        arguments[name] = kind(**{field.name: arguments.pop(field.name) for field in fields(kind)})
    return arguments


def documented(source: Callable) -> dict[str, str]:
    """Return the texts of the arguments that a docstring describes."""
    from docstring_parser import parse

    arguments = parse(inspect.getdoc(source) or "").params
    return {each.arg_name: " ".join((each.description or "").split()) for each in arguments}


def _shared(command: Callable) -> dict[str, type]:
    """Return the parameters of a command that are dataclasses of options."""
    annotations = {each.name: each.annotation for each in inspect.signature(command).parameters.values()}
    return {name: kind for name, kind in annotations.items() if isinstance(kind, type) and is_dataclass(kind)}

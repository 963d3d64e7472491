"""Command line options from signatures: names, types, defaults and help are those of the functions that take them.

jsonargparse reads the signatures and docstrings. Added here: `--image-size` as a spelling of `--image_size`, flags
without a value, options of lists that may be repeated, `--method sst --method.intra_threshold 0.9`, recipes by name,
and errors that suggest the nearest name.
"""

import argparse
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from partlabel.cli.configurations import leaves, read_configuration, recipes
from partlabel.cli.spelling import canonical, in_plain_words, shown_option
from partlabel.core.errors import UsageError
from partlabel.core.messages import did_you_mean

__all__ = ["Parser", "UsageError"]


class _Formatter(DefaultHelpFormatter):
    def _expand_help(self, action: argparse.Action) -> str:
        return in_plain_words(super()._expand_help(action))


class Parser(ArgumentParser):
    """The parser of a command, with options from signatures.

    A *choice* is an option that names a class or function, whose own arguments then are options too:
    `--method sst --method.intra_threshold 0.9`; in YAML, `method: {name: sst, intra_threshold: 0.9}`.

    Args:
        prog: Program name, as in `partlabel train`.
        argv: Arguments after it.
        description: Text above the options in the help.
        config: Whether options may also come from `--config`, a YAML file or a recipe.

    Attributes:
        elsewhere: Full names of options that are often typed by the name of their argument, for messages.
    """

    def __init__(self, prog: str, argv: Sequence[str], description: str = "", config: bool = False) -> None:
        super().__init__(prog=prog, description=description, formatter_class=_Formatter)
        self.argv = list(argv)
        self.chosen: dict[str, str] = {}
        self.elsewhere: dict[str, str] = {}
        self.configurations: list[tuple[str, dict[str, Any]]] = []
        if config:
            self.add_argument(
                "--config",
                action="config",
                help=f"YAML with any of these options, or a recipe: {', '.join(recipes())}",
            )
            names = (value for option, value in self._options() if option == "--config")
            self.configurations = [(name, read_configuration(name)) for name in names]

    def add(
        self,
        source: Callable,
        key: str | None = None,
        skip: Collection[str] = (),
        title: str | None = None,
        positional: bool = False,
    ) -> None:
        """Add options from the signature of a function or a constructor.

        Args:
            source: Function or class.
            key: Prefix of the options: `--key.name` rather than `--name`.
            skip: Arguments that are not options.
            title: Heading in the help; default: the first line of the docstring.
            positional: Whether arguments without a default are positional.
        """
        if isinstance(source, type):
            self.add_class_arguments(source, key, skip=set(skip))
        else:
            self.add_function_arguments(source, key, as_positional=positional, skip=set(skip))
        if title:
            self._action_groups[-1].title = title

    def optional_positional(self, name: str, type: type, help: str) -> None:
        """Add an optional positional argument to the group that was added last."""
        self._action_groups[-1].add_argument(name, nargs="?", type=type, help=help)

    def add_choice(
        self, key: str, find: Callable[[str], Callable], default: str, help: str, skip: Collection[str] = ()
    ) -> Callable:
        """Add `--key name`, and the arguments of the class or function of that name as `--key.argument`.

        Args:
            key: Option.
            find: Function from the name to the class or function.
            default: Name if none is given.
            help: Help of the option.
            skip: Arguments that are not options.

        Returns:
            The class or function that was chosen.

        Raises:
            UsageError: There is no class or function of that name.
        """
        self.chosen[key] = self.given(key) or default
        try:
            found = find(self.chosen[key])
        except ValueError as error:
            raise UsageError(f"--{key}: {error}") from error
        self.add_argument(f"--{key}.name", default=default, help=help)
        self.add(found, key, skip)
        group = self._action_groups[-1]
        group.title = f"{key} {self.chosen[key]}: {group.title}"
        whole = self._option_string_actions.get(f"--{key}")
        if whole is not None:  # jsonargparse's own option for a file with these arguments; ours is `--config`
            whole.help = argparse.SUPPRESS
        return found

    def parse(self) -> dict[str, Any]:
        """Return the values of all options; the command line overrides `--config`, wherever it stands.

        Raises:
            UsageError: An option or a key does not exist, or a value does not fit.
        """
        parsed = self.parse_args([*self._configured(), *self._typed()])
        return {key: _as_dict(value) for key, value in vars(parsed).items() if key != "config"}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an error instead of exiting, so that all errors look alike."""
        if found := re.fullmatch("the following arguments are required: (.*)", message):
            message = f"missing: {', '.join(map(self._name, found[1].split(', ')))}"
        raise UsageError(f"{in_plain_words(message)} (all options: {self.prog} --help)") from ex

    def format_help(self, *arguments: Any) -> str:
        """Format the help, with options spelled as users type them."""
        positional = [action for action in self._actions if not action.option_strings]
        names = [f"[{action.dest}]" if action.nargs == "?" else action.dest for action in positional]
        self.usage = " ".join([self.prog, *names, "[options]"])
        with self._written_for_people():
            return super().format_help(*arguments)

    def _name(self, key: str) -> str:
        return shown_option(f"--{key}") if f"--{key}" in self._option_string_actions else key

    @contextmanager
    def _written_for_people(self) -> Iterator[None]:
        written = [action.option_strings for action in self._actions]
        for action in self._actions:
            action.option_strings = [shown_option(option) for option in action.option_strings]
        try:
            yield
        finally:
            for action, options in zip(self._actions, written, strict=True):
                action.option_strings = options

    def given(self, key: str) -> str | None:
        """Return the value of an option before parsing: from the command line, else from the last configuration."""
        typed = [value for option, value in self._options() if option in (f"--{key}", f"--{key}.name")]
        if typed:
            return typed[-1]
        written = [content[key] for _, content in self.configurations if key in content]
        names = [value.get("name") if isinstance(value, dict) else str(value) for value in written]
        return next((name for name in reversed(names) if name), None)

    def given_arguments(self, key: str) -> list[str]:
        """Return the arguments of a choice that are given or configured, before parsing."""
        start = f"--{key}."
        typed = [option.removeprefix(start) for option, _ in self._options() if option.startswith(start)]
        configured = [
            name
            for _, content in self.configurations
            if isinstance(content.get(key), dict)
            for name in content[key]
        ]
        return [name for name in dict.fromkeys([*configured, *typed]) if name != "name"]

    def _options(self) -> Iterator[tuple[str, str]]:
        """Yield each option in `argv` and the word after it."""
        for word, following in pairwise([*self.argv, ""]):
            if word == "--":
                return
            if word.startswith("--"):
                option, equals, value = canonical(word)
                yield option, value if equals else following

    def _configured(self) -> Iterator[str]:
        known = [
            action.dest
            for action in self._actions
            if action.dest not in (*self.chosen, "help", "print_config")
        ]
        for name, content in self.configurations:
            for key, chosen in self.chosen.items():
                if not isinstance(content.get(key, {}), dict):
                    content[key] = {"name": content[key]}
                if content.get(key, {}).get("name", chosen) != chosen:
                    del content[key]  # a later choice does not have these arguments
            for option in leaves(content, self.chosen):
                if option not in known:
                    raise UsageError(f"{name}: there is no option {option!r}{did_you_mean(option, known)}")
            yield f"--config={yaml.safe_dump(content)}"

    def _typed(self) -> Iterator[str]:
        """Yield `argv` as jsonargparse takes it: names with underscores, flags with `true`, and no `--config`."""
        words = iter(pairwise([*self.argv, ""]))
        for word, following in words:
            if word == "--":
                yield from (word, *(later for later, _ in words))
            elif not word.startswith("--"):
                yield word
            else:
                option, equals, value = canonical(word)
                if option.removeprefix("--") in self.chosen:
                    option += ".name"
                if option not in self._option_string_actions:
                    self._no_such_option(word)
                if option == "--config":
                    if not equals:
                        next(words, None)
                    continue
                if self._is_item(option, value if equals else following):
                    yield f"{option}+={value if equals else next(words)[0]}"
                    continue
                yield option + equals + value
                is_flag = getattr(self._option_string_actions[option], "_typehint", None) is bool
                if is_flag and not equals and following.lower() not in ("true", "false"):
                    yield "true"

    def _is_item(self, option: str, value: str) -> bool:
        """Return whether a value is one item of a list, which the option then extends: `--texts a.csv --texts exif`."""
        kind = getattr(self._option_string_actions[option], "_typehint", None)
        kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        is_list = any(get_origin(each) is list for each in kinds) and str not in kinds
        return is_list and bool(value) and not value.startswith(("[", "--")) and value != "null"

    def _no_such_option(self, word: str) -> NoReturn:
        actions = self._option_string_actions.items()
        known = [shown_option(option) for option, action in actions if action.help != argparse.SUPPRESS]
        option, name = word.partition("=")[0], canonical(word)[0].removeprefix("--")
        hint = f" (did you mean {self.elsewhere[name]!r}?)" if name in self.elsewhere else ""
        raise UsageError(f"there is no option {option}{hint or did_you_mean(option, known)}")


def _as_dict(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Namespace) else value

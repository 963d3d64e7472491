"""Errors and warnings that name their fix so that it can be typed: a Python argument, or an option of a command.

A message is given in pieces: text, and the arguments that it tells the user to give. `str()` writes an argument as
Python has it (`separator=';'`), the command line as its option (`--format wide_csv --format.separator ';'`).
"""

import shlex
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Argument:
    """An argument of the function that was called, and of the command of the same name.

    Attributes:
        name: As the signature has it.
        value: The value to give; None where the user chooses one.
        placeholder: What stands for such a value on the command line.
    """

    name: str
    value: Any = None
    placeholder: str = "..."

    def __str__(self) -> str:
        return f"{self.name}=" if self.value is None else f"{self.name}={self.value!r}"

    def typed(self, format: str | None) -> str:
        """Write the argument as an option of a command.

        Args:
            format: The name of the reader whose message it is; None where no reader is involved.
        """
        option = f"--{self.name.replace('_', '-')}"
        return option if self.value is True else f"{option} {self._typed_value()}"

    def _typed_value(self) -> str:
        if self.value is None:
            return self.placeholder
        if isinstance(self.value, list | tuple):
            return shlex.quote(f"[{','.join(_typed_item(str(item)) for item in self.value)}]")
        return "$'\\t'" if self.value == "\t" else shlex.quote(str(self.value))


@dataclass(frozen=True)
class ReaderArgument(Argument):
    """An argument of a reader, on the command line an option of `--format`.

    Attributes:
        format: The reader to name besides, where it is another than the one whose message this is.
    """

    format: str | None = None

    def __str__(self) -> str:
        said = super().__str__()
        return said if self.format is None else f"format={self.format!r}, {said}"

    def typed(self, format: str | None) -> str:
        """Write the argument as an option of `--format`; see `Argument.typed`."""
        reader = self.format or format
        option = f"--format.{self.name} {'true' if self.value is True else self._typed_value()}"
        return option if reader is None else f"--format {reader} {option}"


class _Said(Exception):
    """A message in pieces.

    Attributes:
        pieces: Text and arguments, in their order.
        format: The name of the reader that the message comes from; set by `readers.read`.
    """

    def __init__(self, *pieces: object) -> None:
        super().__init__(*pieces)
        self.pieces = pieces
        self.format: str | None = None

    def __str__(self) -> str:
        return "".join(str(piece) for piece in self.pieces)

    def typed(self) -> str:
        """Write the message with the options that a user of the command line can type."""
        return "".join(
            piece.typed(self.format) if isinstance(piece, Argument) else str(piece) for piece in self.pieces
        )

    def after(self, text: str) -> "_Said":
        """Put text before the message, such as the name of the file."""
        longer = type(self)(text, *self.pieces)
        longer.format = self.format
        return longer


class InputError(_Said, ValueError):
    """Input that cannot be read; the message names the file, the place in it and the fix."""


class MissingError(_Said, FileNotFoundError):
    """A file, or the folder that it should be in, that does not exist; the message names the fix."""


class InputWarning(_Said, UserWarning):
    """Input that was read, and may mean something else; the message names the argument that says so."""


def typed(message: object) -> str:
    """Write an error or a warning for the command line."""
    return message.typed() if isinstance(message, _Said) else str(message)


def _typed_item(item: str) -> str:
    """An item of a YAML list, in quotes where YAML would read anything but this string."""
    plain = item and not set(item) & set("[]{},:#'\"&*!|>%@`\\\n\t") and item == item.strip()
    if plain and item[0] not in "-?~=<." and not item[0].isdigit() and item.lower() not in _YAML_WORDS:
        return item
    escaped = item.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


_YAML_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")

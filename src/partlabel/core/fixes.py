"""Errors and warnings that state their fix as the user can type it: a Python argument, or an option of a command.

A message consists of pieces: text, and the arguments that the user should give. `str()` writes an argument as in Python
(`separator=';'`), the command line as its option (`--format wide_csv --format.separator ';'`).
"""

import shlex
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Argument:
    """An argument of the called function, and of the command of the same name.

    Attributes:
        name: Name in the signature.
        value: Value to give; None if the user chooses it.
        placeholder: Text shown for such a value on the command line.
    """

    name: str
    value: Any = None
    placeholder: str = "..."

    def __str__(self) -> str:
        return f"{self.name}=" if self.value is None else f"{self.name}={self.value!r}"

    def typed(self, format: str | None) -> str:
        """Write the argument as an option of a command.

        Args:
            format: Name of the reader that raised the message; None if no reader is involved.
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
        format: Reader to name in the fix, if it is not the one that raised the message.
    """

    format: str | None = None

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.format is None else f"format={self.format!r}, {text}"

    def typed(self, format: str | None) -> str:
        """Write the argument as an option of `--format`; see `Argument.typed`."""
        reader = self.format or format
        option = f"--format.{self.name} {'true' if self.value is True else self._typed_value()}"
        return option if reader is None else f"--format {reader} {option}"


class _Said(Exception):
    """A message in pieces.

    Attributes:
        pieces: Text and arguments, in order.
        format: Name of the reader that raised the message; set by `readers.read`.
    """

    def __init__(self, *pieces: object) -> None:
        super().__init__(*pieces)
        self.pieces = pieces
        self.format: str | None = None

    def __str__(self) -> str:
        return "".join(str(piece) for piece in self.pieces)

    def typed(self) -> str:
        """Write the message with options of the command line."""
        return "".join(
            piece.typed(self.format) if isinstance(piece, Argument) else str(piece) for piece in self.pieces
        )

    def after(self, text: str) -> "_Said":
        """Prepend text to the message, such as the file's name."""
        longer = type(self)(text, *self.pieces)
        longer.format = self.format
        return longer


class InputError(_Said, ValueError):
    """Input that cannot be read; the message names the file, the position in it and the fix."""


class MissingError(_Said, FileNotFoundError):
    """A missing file, or its missing folder; the message names the fix."""


class InputWarning(_Said, UserWarning):
    """Input that was read but may have another meaning; the message names the argument that sets it."""


def typed(message: object) -> str:
    """Write an error or a warning for the command line."""
    return message.typed() if isinstance(message, _Said) else str(message)


def _typed_item(item: str) -> str:
    """Write an item of a YAML list, quoted if YAML would read it as something other than this string."""
    plain = item and not set(item) & set("[]{},:#'\"&*!|>%@`\\\n\t") and item == item.strip()
    if plain and item[0] not in "-?~=<." and not item[0].isdigit() and item.lower() not in _YAML_WORDS:
        return item
    escaped = item.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


_YAML_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")

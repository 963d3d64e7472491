"""Columns of a CSV or parquet file, with checks for common defects."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from partlabel.core.errors import first_line
from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import did_you_mean, some
from partlabel.core.text_files import not_utf8
from partlabel.data.tables.validation import repeated

TABLES = (".csv", ".tsv", ".parquet")
T = TypeVar("T")

_BYTES = 1 << 23  # of a CSV at a time
_CELLS = 1 << 24  # of a parquet file at a time
_HEAD = 50  # rows that are looked at to find out what a column is


def header(path: Path, separator: str | None = None) -> list[str]:
    """Return the column names without surrounding spaces.

    Raises:
        ValueError: The file is empty or not UTF-8, or two columns have the same name.
    """
    if is_parquet(path):
        names = guarded(path, lambda: list(pq.read_schema(path).names))
    else:
        names = guarded(path, lambda: _first_line(path, separator))
    if not names:
        raise ValueError(f"{path}: the file is empty; its first line has the column names")
    names = [name.strip() for name in names]
    twice = repeated(names)
    if twice:
        raise ValueError(
            f"{path}: two columns have the same name: {some(map(repr, twice))}; rename or merge them"
        )
    return names


def is_table(path: Path) -> bool:
    """Return whether a path is a file with the suffix of a table."""
    return path.is_file() and path.suffix.lower() in TABLES


def is_parquet(path: Path) -> bool:
    """Return whether a file has the suffix of a parquet file."""
    return path.suffix.lower() == ".parquet"


def is_open_images(path: Path) -> bool:
    """Return whether a file has the columns of Open Images' image-level labels."""
    if not is_table(path) or is_parquet(path):
        return False
    return {"ImageID", "LabelName", "Confidence"} <= set(header(path))


def nested(path: Path) -> dict[str, bool]:
    """Find the columns of a parquet file with more than one value per cell, and whether each contains image files."""
    if not is_parquet(path):
        return {}
    schema = guarded(path, lambda: pq.read_schema(path))
    kinds = [(name.strip(), schema.field(at).type) for at, name in enumerate(schema.names)]
    return {
        name: (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0) or pa.types.is_binary(kind)
        for name, kind in kinds
        if pa.types.is_nested(kind) or pa.types.is_binary(kind)
    }


def columns(
    path: Path, positions: Sequence[int], names: Sequence[str], separator: str | None = None
) -> list[Any]:
    """Read columns of the file as arrow arrays: from CSV as dictionaries of strings, from parquet with their own types.

    Raises:
        ValueError: A row has more or fewer cells than the header, a cell has more than one value, or the file does not
            have the format of its suffix.
    """
    if is_parquet(path):
        wanted = _parquet_names(path, positions)
        table = guarded(path, lambda: pq.ParquetFile(path).read(columns=wanted))
        return [table.column(name) for name in wanted]
    options = _csv_options(path, positions, names, separator, pa.dictionary(pa.int32(), pa.string()))
    return list(guarded(path, lambda: pyarrow.csv.read_csv(path, **options)).columns)


def blocks(
    path: Path, positions: Sequence[int], names: Sequence[str], separator: str | None = None
) -> Iterator[list[Any]]:
    """Yield the columns in blocks of rows: from CSV as strings, from parquet with their own types.

    Raises:
        ValueError: As `columns`.
    """
    if is_parquet(path):
        rows = max(1, _CELLS // max(len(names), 1))
        wanted: Sequence[str | int] = _parquet_names(path, positions)
        batches = guarded(path, lambda: pq.ParquetFile(path).iter_batches(rows, columns=wanted))
    else:
        options = _csv_options(path, positions, names, separator, pa.string())
        batches = guarded(path, lambda: pyarrow.csv.open_csv(path, **options))
        wanted = range(len(positions))
    while (batch := guarded(path, lambda: next(batches, None))) is not None:
        yield [batch.column(each) for each in wanted]


def _parquet_names(path: Path, positions: Sequence[int]) -> list[str]:
    """Return the names of columns as the file spells them, so that no other column is decoded.

    Raises:
        ValueError: A cell of these columns has more than one value.
    """
    schema = guarded(path, lambda: pq.read_schema(path))
    _refuse_nested(path, schema, positions)
    return [schema.names[position] for position in positions]


def _csv_options(
    path: Path, positions: Sequence[int], names: Sequence[str], separator: str | None, kind: Any
) -> dict[str, Any]:
    """Return arrow's options for reading CSV columns by position, because two names may differ only in spaces."""
    generic = [f"{position}" for position in range(len(names))]
    wanted = [generic[position] for position in positions]
    parse = pyarrow.csv.ParseOptions(delimiter=_separator(path, separator), newlines_in_values=True)
    return {
        "read_options": pyarrow.csv.ReadOptions(
            column_names=generic,
            skip_rows=1,
            block_size=_BYTES,
            encoding=encoding(path).removesuffix(
                "-sig"
            ),  # arrow knows the mark, and is slower by any other name
        ),
        "parse_options": parse,
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, kind),
            include_columns=wanted,
            null_values=[],
            strings_can_be_null=False,
        ),
    }


def strings(column: Any) -> list[str]:
    """Convert a column to strings; null becomes the empty string."""
    return column.cast(pa.string()).fill_null("").to_pylist()


def head(
    path: Path, positions: Sequence[int], names: Sequence[str], separator: str | None
) -> list[list[str]]:
    """Return the first cells of columns, as strings without surrounding spaces."""
    first = next(blocks(path, positions, names, separator), None)
    if first is None:
        return [[] for _ in positions]
    return [[cell.strip() for cell in strings(column[:_HEAD])] for column in first]


def column_at(path: Path, names: Sequence[str], wanted: str) -> int:
    """Return the position of a column.

    Raises:
        ValueError: The column does not exist; the message suggests the most similar name.
    """
    if wanted not in names:
        raise ValueError(
            f"{path}: there is no column {wanted!r}{did_you_mean(wanted, names)}; there are: {some(map(repr, names))}"
        )
    return names.index(wanted)


def guarded(path: Path, read: Callable[[], T]) -> T:
    """Call `read`, and name the file in its errors.

    Raises:
        OSError: The file cannot be opened or read.
        ValueError: The file is not UTF-8, or not a table.
    """
    try:
        return read()
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except csv.Error as error:
        raise ValueError(f"{path}: {error}; correct the file: is a quote opened and not closed?") from None
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path}: {error}; correct the file: every row has one cell per column, in UTF-8"
        ) from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the content
            raise
        raise ValueError(f"{path}: {first_line(error)}; the file is damaged, or not a table") from None


def _first_line(path: Path, separator: str | None) -> list[str]:
    with path.open(encoding=encoding(path), newline="") as file:
        return next(csv.reader(file, delimiter=_separator(path, separator)), [])


def encoding(path: Path) -> str:
    """Return the encoding of a text file: UTF-16 if its first bytes say so (Excel's "Unicode text"), else UTF-8.

    Files in any other encoding are refused when they are read.
    """
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _separator(path: Path, separator: str | None) -> str:
    separator = separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
        raise ValueError(f"{path}: {separator!r} cannot stand between cells; give one character, such as ';'")
    return separator


def _refuse_nested(path: Path, schema: pa.Schema, positions: Sequence[int]) -> None:
    """Refuse cells with more than one value, which cannot be converted to text."""
    for position in positions:
        field = schema.field(position)
        try:
            pa.nulls(0, field.type).cast(pa.string())
        except pa.ArrowNotImplementedError:
            name = field.name.strip()
            raise InputError(
                f"{path}: column {name!r} has {field.type} in a cell, not one value; in a wide table, "
                "leave it out with ",
                ReaderArgument("leave_out", [name]),
                " if it is not a class; a list of class names is read with ",
                ReaderArgument("labels_column", name, format="hugging_face"),
            ) from None

"""No third-party traceback reaches a user: every exception of every library becomes one line, and names what it can."""

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from partlabel.cli import main as cli
from partlabel.cli.main import main
from partlabel.core import errors

LIBRARIES = (
    "PIL", "fastapi", "fsspec", "huggingface_hub", "jinja2", "jsonargparse", "lightning.fabric.utilities",
    "lightning.pytorch.utilities", "matplotlib", "onnx.checker", "onnxruntime.capi.onnxruntime_pybind11_state",
    "polars", "pyarrow", "pydantic", "pydantic_core", "ray.exceptions", "rich", "safetensors", "sklearn", "sqlite3",
    "starlette", "torch", "torchmetrics.utilities.exceptions", "webdataset", "yaml", "zlib", "struct", "csv", "json",
    "tarfile", "zipfile", "xml.etree.ElementTree",
)  # fmt: skip
DEEPER = ("exceptions", "errors", "_exceptions", "error")


def exceptions_of(name):
    """List the exception classes in a library's modules, including those of its error modules."""
    library = pytest.importorskip(name)
    modules = [library]
    for found in pkgutil.iter_modules(getattr(library, "__path__", []), f"{name}."):
        if found.name.rpartition(".")[2] in DEEPER:
            modules.append(importlib.import_module(found.name))
    classes = {
        thing
        for module in modules
        for thing in vars(module).values()
        if inspect.isclass(thing) and issubclass(thing, BaseException)
    }
    stops = (KeyboardInterrupt, SystemExit, GeneratorExit, Warning)
    return sorted(
        (each for each in classes if not issubclass(each, stops)), key=lambda each: each.__qualname__
    )


def made(kind):
    """An exception of a class, whatever its constructor asks for."""
    for arguments in (("first line\nsecond line",), ()):
        try:
            return kind(*arguments)
        except Exception:
            continue
    try:
        return kind.__new__(kind)
    except Exception:  # of a class that only the library itself makes
        return None


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_exception_of_a_library_becomes_one_line(library, monkeypatch, capsys):
    raised = []

    def verb() -> None:
        """Raise."""
        raise raised[-1]

    monkeypatch.setitem(cli.VERBS, "methods", verb)
    for kind in exceptions_of(library):
        error = made(kind)
        if error is None:
            continue
        raised.append(error)
        assert main(["methods"]) == 2, kind
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 or type(error).__module__ == "builtins", (kind, said)
        assert said.startswith("partlabel: ") and "Traceback" not in said and len(said) > 12, (kind, said)
    assert raised, library


def test_the_libraries_have_exceptions_to_walk_over():
    assert (
        sum(len(exceptions_of(name)) for name in ("PIL", "polars", "pydantic_core", "yaml", "sqlite3")) > 30
    )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            AttributeError,
            "this is a bug in partlabel (AttributeError: oh); run the same command with --debug",
        ),
        (RecursionError, "this is a bug in partlabel (RecursionError: oh)"),
        (MemoryError, "out of memory (oh); give a smaller --batch-size"),
        (ValueError, "partlabel: oh\n"),
        (FileNotFoundError, "partlabel: oh\n"),
    ],
)
def test_what_nobody_thought_of_is_called_a_defect(kind, told, monkeypatch, capsys):
    def verb() -> None:
        """Raise."""
        raise kind("oh")

    monkeypatch.setitem(cli.VERBS, "methods", verb)
    assert main(["methods"]) == 2
    assert told in capsys.readouterr().err
    with pytest.raises(kind):
        main(["methods", "--debug"])


def test_an_error_of_the_system_names_the_file(tmp_path):
    with pytest.raises(OSError) as found:  # noqa: PT011 - any
        (tmp_path / "no").read_bytes()
    assert errors.sentence(found.value) == f"{tmp_path / 'no'}: No such file or directory"


def test_an_error_inside_a_library_is_told_under_its_name():
    polars = pytest.importorskip("polars")
    with pytest.raises(Exception) as found:  # noqa: PT011 - any
        polars.DataFrame({"a": [1]}).get_column("b")
    said = errors.sentence(found.value)
    assert said.startswith("polars: ") and said.endswith("with --debug to see where)") and "\n" not in said


def test_of_an_error_in_another_process_the_last_line_counts():
    error = OSError(
        "Caught OSError in process 0.\nTraceback (most recent call last):\n  File x\nOSError: a.jpg: gone"
    )
    assert errors.sentence(error) == "a.jpg: gone"


def test_naming_names_the_file_once():
    with pytest.raises(ValueError, match=r"^a\.csv: row 3 is odd$"), errors.naming("a.csv"):
        raise ValueError("row 3 is odd")
    with pytest.raises(ValueError, match=r"^a\.csv: row 3 is odd$"), errors.naming("a.csv"):
        raise ValueError("a.csv: row 3 is odd")
    with pytest.raises(ValueError, match=r"^a\.csv: cannot be read: KeyError: 'b'$"), errors.naming("a.csv"):
        raise KeyError("b")
    with pytest.raises(PermissionError, match=r"^a\.csv: Permission denied$"), errors.naming("a.csv"):
        raise PermissionError(13, "Permission denied", "b.csv")


def run(folder, *words, shell=None, **options):
    source = str(Path(cli.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": source, "PYTHONUNBUFFERED": "1"}
    command = shell or [sys.executable, "-m", "partlabel", *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, shell=bool(shell), **options
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    done = run(tmp_path, shell=f"{sys.executable} -m partlabel methods | true")
    assert done.stderr == ""
    done = run(tmp_path, shell=f"{sys.executable} -m partlabel --help > /dev/full")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_files_in_the_working_directory_are_not_run(tmp_path):
    """Heavy packages look for some fifty others that may be installed, `gmpy2` among them."""
    for name in ("gmpy2", "numpy", "torch", "PIL", "yaml", "polars", "pandas", "cupy", "jax", "deltalake"):
        (tmp_path / f"{name}.py").write_text("open('it-ran', 'w').close()\n")
    (tmp_path / "labels.csv").write_text("image,dog\na.jpg,1\nb.jpg,0\n")
    done = run(tmp_path, "inspect", "labels.csv")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "it-ran").exists()

"""The notebook in `examples/`: it is made of the program beside it, it comes with its outputs, and it runs."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WHY = "the notebook needs partlabel[docs]"
nbformat = pytest.importorskip("nbformat", reason=WHY)
pytest.importorskip("nbclient", reason=WHY)
pytest.importorskip("ipykernel", reason=WHY)


@pytest.fixture
def program(monkeypatch):
    """Import the program that makes the notebook."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("notebook")


def test_the_notebook_is_that_of_the_program_beside_it(program):
    kept = nbformat.read(ROOT / "examples/quickstart.ipynb", 4)
    made = program.notebook((ROOT / "examples/quickstart.py").read_text())
    assert [(c.cell_type, c.source) for c in kept.cells] == [(c.cell_type, c.source) for c in made.cells], (
        "make it again: python docs/notebook.py"
    )
    nbformat.validate(kept)


def test_its_outputs_are_kept_and_small():
    file = ROOT / "examples/quickstart.ipynb"
    kept = nbformat.read(file, 4)
    outputs = [output for cell in kept.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert file.stat().st_size < 300_000


@pytest.mark.slow
def test_it_runs(program, tmp_path):
    source, count = re.subn(
        r"^SCENES, EPOCHS = .*$",
        "SCENES, EPOCHS = 100, 2",
        (ROOT / "examples/quickstart.py").read_text(),
        flags=re.M,
    )
    assert count == 1
    done = program.run(program.notebook(source), tmp_path)
    said = "".join(output.get("text", "") for cell in done.cells for output in cell.get("outputs", []))
    assert "100 images, 24 classes" in said
    assert "unknown labels became known" in said

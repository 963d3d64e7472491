"""Make `examples/quickstart.ipynb` of `examples/quickstart.py`, and run it.

python docs/notebook.py
"""

import re
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

SOURCE = Path(__file__).parent.parent / "examples/quickstart.py"


def cells(source: str) -> list[tuple[str, str]]:
    """Kind and text of each cell of a program whose cells begin with `# %%`; what comes before is left out."""
    parts = re.split(r"^# %%( \[markdown\])?\n", source, flags=re.M)[1:]
    return [
        ("markdown", re.sub(r"^# ?", "", text, flags=re.M).strip()) if mark else ("code", text.strip())
        for mark, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def notebook(source: str) -> nbformat.NotebookNode:
    """The notebook, not yet run. Ids are numbers, so that it is the same each time it is made."""
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    made = [make[kind](text, id=f"cell-{number}") for number, (kind, text) in enumerate(cells(source))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})


def run(made: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs: what is printed and drawn, without warnings, bars and the time it took."""
    NotebookClient(
        made, timeout=600, resources={"metadata": {"path": str(folder)}}, record_timing=False
    ).execute()
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs = [_small(each) for each in cell.outputs if each.get("name") != "stderr"]
    made.metadata.pop("language_info", None)
    return made


def _small(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output, its picture in 256 colours."""
    if png := output.get("data", {}).get("image/png"):
        drawn, file = Image.open(BytesIO(b64decode(png))).convert("RGB"), BytesIO()
        few = drawn.quantize(palette=drawn.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
        few.save(file, "PNG", optimize=True)
        output.data["image/png"] = b64encode(file.getvalue()).decode()
    return output


if __name__ == "__main__":
    nbformat.write(run(notebook(SOURCE.read_text()), SOURCE.parent), SOURCE.with_suffix(".ipynb"))

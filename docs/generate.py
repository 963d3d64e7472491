"""Pages of the site that are made of the code: a page a method, its equation beside its function; the reference.

`docs/conf.py` calls `write` before Sphinx reads anything. The pages go to `docs/generated/`, which git does not keep.
"""

import inspect
import posixpath
import re
import shutil
from pathlib import Path
from textwrap import dedent

from partlabel import losses, methods
from partlabel.core import registry
from partlabel.core.citations import cite
from partlabel.nn import heads

REFERENCE = {
    "Tagger": ["partlabel.tagger", "partlabel.deploy.hub_recognizer"],
    "Label table": ["partlabel.data.tables.label_table", "partlabel.core.labels", "partlabel.core.targets"],
    "Settings of a run": ["partlabel.training.config"],
    "What a method is": ["partlabel.methods._base"],
    "Losses": [f"{losses.__name__}.{name}" for name in registry.names(losses.__name__)],
    "Heads": ["partlabel.nn.heads._base", *(f"{heads.__name__}.{name}" for name in heads.names())],
    "Metrics": ["partlabel.evaluation.metrics", "partlabel.evaluation.pseudo_label_quality"],
    "Hiding": ["partlabel.data.tables.hiding"],
    "Pseudo-labels": ["partlabel.transfer.pseudo_labels", "partlabel.posthoc.label_completion"],
    "Memory": [
        "partlabel.transfer.feature_bank",
        "partlabel.transfer.prototypes",
        "partlabel.transfer.label_store",
    ],
    "Scenes": ["partlabel.demo.scenes"],
}


def write(root: Path) -> None:
    """Write all of them.

    Args:
        root: The repository.
    """
    folder = root / "docs/generated"
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("methods", "api"):
        (folder / part).mkdir(parents=True)
    equations = _equations((root / "docs/methods/losses.md").read_text())
    (folder / "methods.md").write_text(_list())
    for name in methods.names():
        (folder / f"methods/{name}.md").write_text(_method(root, name, equations))
    for number, (title, modules) in enumerate(REFERENCE.items()):
        (folder / f"api/{number:02}.md").write_text(_reference(title, modules))


def _list() -> str:
    """All methods, with their papers, and the way to their pages."""
    rows = []
    for name in methods.names():
        title, paper, _ = cite(methods.get(name).__doc__ or "")
        rows.append(f"| [`{name}`](methods/{name}.md) | {title} | {paper} | {methods.get(name).adds} |")
    index = "```{toctree}\n:hidden:\n:glob:\n\nmethods/*\n```\n"
    heading = "# Equation beside function\n\n| `--method` | name | paper | adds |\n|---|---|---|---|"
    return "\n".join([heading, *rows, "", index])


def _equations(page: str) -> dict[str, tuple[str, str]]:
    """Equation and departures of each method, from the rows of the table in `docs/methods/losses.md`."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|[^|]*\|([^|]*)\|$", page, re.M)
    return {
        name: (_moved(equation.strip()), _moved(departures.strip())) for name, equation, departures in rows
    }


def _moved(text: str) -> str:
    """Adjust links that are relative to `docs/methods/` to the folder of the generated pages."""
    return re.sub(
        r"\]\((?!https?:|#)([^)]+)\)",
        lambda link: f"]({posixpath.normpath(f'../../methods/{link[1]}')})",
        text,
    )


def _method(root: Path, name: str, equations: dict[str, tuple[str, str]]) -> str:
    """The page of a method: on the left what it says of itself, on the right what it does."""
    cls = methods.get(name)
    described = f".. autoclass:: {cls.__module__}.{cls.__name__}\n   :no-members:\n   :no-show-inheritance:"
    left = [f"```{{eval-rst}}\n{described}\n```"]
    if name in equations:
        equation, departures = equations[name]
        left.insert(0, f"**Equation.** {equation}\n")
        left.append(f"**Departures from the paper.** {departures}\n" if departures else "")
        left.append("Notation: [losses on any backbone](../../methods/losses.md).")
    page = f"docs/methods/{name}.md"
    if (root / page).exists():
        left.append(f"Paper and code compared: [{name}](../../methods/{name}.md).")
    right = [f"```python\n{source}\n```" for source in _sources(cls)]
    columns = [_box("equation", 5, "\n\n".join(left)), _box("function", 5, "\n\n".join(right))]
    summary = f"{cls.adds[:1].upper()}{cls.adds[1:]}; needs {cls.needs}."
    return f"# `{name}`\n\n{summary}\n\n{_box('beside', 6, *columns)}"


def _box(name: str, colons: int, *content: str) -> str:
    """An element of a class that `_site/site.css` knows."""
    fence = ":" * colons
    return "\n\n".join([f"{fence}{{container}} {name}", *content, fence]) + "\n"


def _sources(cls: type) -> list[str]:
    """What a class itself defines beside its construction, and its `step`, wherever it comes from."""
    own = [thing for key, thing in vars(cls).items() if inspect.isfunction(thing) and key != "__init__"]
    if "step" not in vars(cls):
        own.insert(0, cls.step)
    return [f"# {_home(thing)}\n{dedent(inspect.getsource(thing))}" for thing in own]


def _home(function) -> str:
    """Where a function is written."""
    return f"{function.__module__.replace('.', '/')}.py: {function.__qualname__}"


def _reference(title: str, modules: list[str]) -> str:
    directives = [f"```{{eval-rst}}\n.. automodule:: {module}\n```" for module in modules]
    return "\n\n".join([f"# {title}", *directives]) + "\n"

"""The structure of the package: floors, no cycles, one definition of a public name, sizes, a server without PyTorch.

All imports count: at the top of a module, inside functions, and those for type checkers alone.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import partlabel

ROOT = Path(partlabel.__file__).parent
FLOORS = (
    ("cli",),
    ("demo",),
    ("review", "sharded", "audit", "testing"),
    ("tagger",),
    ("bench", "deploy"),
    ("reporting",),
    ("training",),
    ("selection",),
    ("posthoc",),
    ("priors",),
    ("data",),
    ("methods",),
    ("transfer",),
    ("losses", "nn", "evaluation"),
    ("core",),
)
"""From the top; a room imports from rooms below it alone, never from one beside it."""
UPWARDS = {
    ("data.tables.label_table", "data.readers"),
    ("data.tables.label_table", "data.tables.io"),
}
"""Cycles that are meant: `LabelTable.read` and `.save` are the table's own interface to its readers and writers."""
TWICE = {
    "Labels": "an array of labels, in NumPy where nothing needs PyTorch, else in PyTorch",
    "Vectors": "an array",
    "Hill": "the method of a paper, and its loss",
    "SSGRL": "the method of a paper, and its head",
    "Class": "what an audit says of a class; in the registry of orders of questions, the order `class`",
    "Layout": "what a shard file holds; in a private module of readers, the columns of a table of the hub",
    "parse": "what was typed of a grid; in a private module of readers, an XML file",
    "plain": "a value as JSON holds it; a path in one spelling; in a private module of readers, a column's name",
    "table": "the table of some entries, and of some names: private modules of readers",
    "kind": "what a JSON file is, and what a column is: private modules of readers",
    "understood": "the registry of readers, and each reader of tables in it",
}
"""Public names that two modules may define, and why."""
SAME_BY_DESIGN = (
    *("names", "get", "find", "read", "recognises", "ABSENCE"),
    *("fill", "fit", "run", "of", "check", "build", "create", "load", "save", "write", "stored"),
)
"""Interfaces that every module of a registry has, and verbs that are read with their module (`tuning.fit`)."""
NAMED_AS_TYPED = ("cli.commands", "demo.scenes")
"""A command bears the name that is typed, and a scene that of what it draws, whatever lower floors call theirs."""


def module_of(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, modules: frozenset[str]) -> set[str]:
    """Modules of the package that a module imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "partlabel":
            home = node.module.removeprefix("partlabel").removeprefix(".")
            for alias in node.names:
                deeper = f"{home}.{alias.name}" if home else alias.name
                found.add(deeper if deeper in modules else home)
        elif isinstance(node, ast.Import):
            found |= {
                a.name.removeprefix("partlabel.") for a in node.names if a.name.startswith("partlabel.")
            }
    return found - {""}


def graph_of(sources: dict[str, str]) -> dict[str, set[str]]:
    modules = frozenset(sources)
    return {name: imports(source, modules) - {name} for name, source in sources.items()}


def upwards(graph: dict[str, set[str]]) -> list[str]:
    """Imports that do not go down."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for name, imported in graph.items():
        if name in ("", "__main__"):
            continue
        own = name.split(".")[0]
        assert own in floor, f"{own} is on no floor: name it in FLOORS"
        for other in imported:
            room = other.split(".")[0]
            if room != own and floor.get(room, -1) <= floor[own]:
                wrong.append(f"{name} imports {other}")
    return sorted(wrong)


def cycles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one module (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            component = set()
            while not component or name not in component:
                component.add(stack.pop())
            if len(component) > 1:
                found.append(component)

    for name in graph:
        if name not in index:
            visit(name)
    return found


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {module_of(path): path.read_text() for path in sorted(ROOT.rglob("*.py"))}


@pytest.fixture(scope="module")
def graph(sources) -> dict[str, set[str]]:
    return graph_of(sources)


def test_every_import_goes_down(graph):
    assert upwards(graph) == []


def test_an_import_that_goes_up_is_found(sources):
    """The test above can fail: with one such import, of any kind, it does."""
    for line in (
        "from partlabel.tagger import Tagger",
        "from partlabel import tagger",
        "import partlabel.tagger",
        "def late():\n    from partlabel.tagger import Tagger",
        "if TYPE_CHECKING:\n    from partlabel.tagger import Tagger",
    ):
        changed = sources | {"core.messages": f"{sources['core.messages']}\n{line}\n"}
        assert upwards(graph_of(changed)) == ["core.messages imports tagger"]


def test_no_modules_import_each_other(graph):
    cut = {
        name: {
            other for other in imported if (name, other) not in UPWARDS and not _is_own_package(name, other)
        }
        for name, imported in graph.items()
    }
    assert cycles(cut) == []


def _is_own_package(name: str, other: str) -> bool:
    """Return whether a module imports its own package, whose `__init__` collects its public names."""
    return name.startswith(f"{other}.")


def test_a_cycle_is_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def test_methods_do_not_import_each_other(graph):
    between = [
        f"{name} imports {other}"
        for name, imported in graph.items()
        for other in imported
        if _is_method(name) and _is_method(other)
    ]
    assert between == []


def _is_method(name: str) -> bool:
    return name.startswith("methods.") and not name.startswith("methods._")


ASKED_BY_NAME = re.compile(r"\b(get|has)attr\((\w+\.)*(model|method|head)\b")


def test_what_a_method_or_head_offers_is_declared_not_searched_for(sources):
    found = [name for name, source in sources.items() if ASKED_BY_NAME.search(source)]
    wrong = [name for name in found if not name.startswith("nn.backbones.")]  # there a model is one of timm
    assert wrong == [], "declare it in Method or Head, with a default"
    assert ASKED_BY_NAME.search('hasattr(self.method, "cooccurrence")')


def test_the_server_imports_no_pytorch(sources, graph):
    heavy = ("torch", "torchvision", "lightning", "timm")
    reached, ahead = set(), [name for name in graph if name.startswith("deploy.serving")]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += _imports_at_start(sources[name], frozenset(sources))
    wrong = [
        name
        for name in reached
        for node in ast.parse(sources[name]).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for imported in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        if imported.split(".")[0] in heavy
    ]
    assert wrong == []


def _imports_at_start(source: str, modules: frozenset[str]) -> set[str]:
    """Modules that are imported as soon as a module is, their packages included."""
    body = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = imports(ast.unparse(ast.Module(body, [])), modules) & modules
    return found | {name.rpartition(".")[0] for name in found} & modules - {""}


def test_a_public_name_is_defined_once(sources):
    homes = defaultdict(set)
    for module, source in sources.items():
        if module.startswith(NAMED_AS_TYPED) or module.rpartition(".")[2].startswith("__"):
            continue
        for node in ast.parse(source).body:
            name = getattr(node, "name", None)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = (
                    node.targets[0].id
                    if node.targets[0].id[:1].isupper() and not node.targets[0].id.isupper()
                    else None
                )
            if name and not name.startswith("_"):
                homes[name].add(module)
    twice = {
        name: sorted(modules)
        for name, modules in homes.items()
        if len(modules) > 1 and name not in TWICE and name not in SAME_BY_DESIGN
    }
    assert twice == {}


MOST_LINES, MOST_LINES_OF_CODE = 300, 60
DRAWINGS = "demo.scenes"


def lengths_of_functions(source: str) -> dict[str, int]:
    """Lines of each function, without its docstring."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            described = node.body[0] if ast.get_docstring(node) is not None else None
            docstring = described.end_lineno - described.lineno + 1 if described else 0
            found[node.name] = node.end_lineno - node.lineno + 1 - docstring
    return found


def test_files_and_functions_are_short(sources):
    files = {name: source.count("\n") for name, source in sources.items() if not name.startswith(DRAWINGS)}
    assert {name: lines for name, lines in files.items() if lines > MOST_LINES} == {}, "divide by meaning"
    functions = {
        f"{module}.{name}": lines
        for module, source in sources.items()
        for name, lines in lengths_of_functions(source).items()
        if lines > MOST_LINES_OF_CODE
    }
    assert functions == {}, "divide it, or move what it does into another function"
    assert lengths_of_functions('def f():\n    """One\n    two."""\n    return 1\n') == {"f": 2}


def test_no_two_test_files_have_the_same_name():
    """Pytest imports a test file by its bare name."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []

"""Every code block of the pages that a user reads is run as it is written, or says why it is not.

A page is one session: its commands run in order in a temporary folder, its Python in one namespace. What a page takes
as given, a table and photos, a run, files of another program, is prepared here. A training takes one epoch.
"""

import importlib
import json
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from given import A, P, U, build, take
from pages import ROOT, Block, Session, blocks
from partlabel import Tagger
from partlabel.cli.commands._command import GROUPS
from partlabel.cli.main import DECLARED, main
from partlabel.core import distributed
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.config import TrainingConfig

PAGES = [
    "README.md",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if "generated" not in path.parts
    ),
]
SMALLER = {"--images 400": "--images 60"}
NOT_RUN: dict[tuple[str, str], str] = {}
"""Blocks of pages that cannot say themselves why they are not run, by how they begin."""


LANGUAGES = {"bash", "python", "text", "yaml", "json", "csv", "html", "xml"}


def why_not(block: Block) -> str | None:
    """Return the reason why a block is not run."""
    for (page, beginning), reason in NOT_RUN.items():
        if block.page == page and block.text.startswith(beginning):
            return reason
    return block.needs


def runnable(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("bash", "python") and not why_not(block)]


def sessions() -> list[tuple[str, str]]:
    """Pages with something to run. The README says the same twice, in either language."""
    found = []
    for page in PAGES:
        languages = {block.language for block in runnable(page)}
        if page == "docs/adding-a-method.md":
            languages -= {"python"}  # parts of one class: a test of its own
        if page == "README.md":
            found += [(page, language) for language in sorted(languages)]
        elif languages:
            found.append((page, " ".join(sorted(languages))))
    return found


@pytest.fixture(scope="module")
def given(collection, tmp_path_factory):
    """Prepare the usual files of a page: `photos/`, `labels.csv`, `new-photos/`, and a run in `runs/a`."""
    folder = tmp_path_factory.mktemp("given")
    shutil.copytree(collection, folder, dirs_exist_ok=True)
    shutil.copytree(folder / "photos", folder / "new-photos")
    table = LabelTable.read(folder / "labels.csv", images=folder / "photos")
    tagger = Tagger(table.classes, "bce", backbone="test_resnet", pretrained=False, image_size=64)
    tagger.fit(table, out=folder / "runs/a", epochs=1, val=0.25, weight_decay=0.02)
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*never present")  # tiny tables
@pytest.mark.parametrize(("page", "languages"), sessions())
def test_every_block_of_a_page_runs_as_written(page, languages, given, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = TrainingConfig.with_options
    monkeypatch.setattr(
        TrainingConfig, "with_options", lambda self, **more: options(self, **more | {"epochs": 1})
    )
    session = Session(lambda: "".join(capfd.readouterr()), smaller=SMALLER)
    PREPARED.get(page, copy_given)(given, tmp_path, session.names)
    for block in runnable(page):
        if block.language in languages:
            session.run(block)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    for block in blocks(page):
        if not block.language.startswith("{"):  # of the site
            assert block.language in LANGUAGES, f"{page}, line {block.line}: of what language?"


def test_the_readme_counts_methods_and_formats_and_lists_every_command():
    page = (ROOT / "README.md").read_text()
    methods = list((ROOT / "src/partlabel/methods").glob("[!_]*.py"))
    assert f"[{len(methods) - 1} more methods]" in page, "all but SST"
    assert f"[{len(list((ROOT / 'src/partlabel/data/readers').glob('[!_]*.py')))} formats]" in page
    rows = page.partition("| you want to | command |")[2].partition("\n\n")[0]
    groups = [re.findall(r"`([a-z-]+)`", row) for row in rows.splitlines() if "`" in row]
    assert groups == [[verb for verb, each in DECLARED.items() if each.group == group] for group in GROUPS]


def test_the_list_of_blocks_that_are_not_run_names_blocks_that_are_there():
    for page, beginning in NOT_RUN:
        assert any(block.text.startswith(beginning) for block in blocks(page)), beginning


def test_the_method_that_is_put_together_on_a_page_is_the_example(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples/own-method"))
    example = importlib.import_module("own_method")
    parts = [block.text for block in blocks("docs/adding-a-method.md") if block.language == "python"]
    names = dict(vars(example))
    del names["WeakNegatives"]
    exec("\n".join(parts), names)
    steps = [
        take(build(kind, 3), [[0.0, 1.0, -2.0]], [[P, U, A]])[1]
        for kind in (names["WeakNegatives"], example.WeakNegatives)
    ]
    assert steps[0].terms == steps[1].terms
    assert names["WeakNegatives"].adds == example.WeakNegatives.adds


def copy_given(given, folder, names):
    shutil.copytree(given, folder, dirs_exist_ok=True)


def prepare_nothing(given, folder, names):
    """Prepare nothing: the page starts in an empty folder."""


def prepare_readme(given, folder, names):
    """Copy the given files, without the runs that the README makes."""
    copy_given(given, folder, names)
    shutil.rmtree(folder / "runs")


def prepare_adding(given, folder, names):
    shutil.copytree(ROOT / "examples", folder / "examples")
    for place in ("examples", "examples/own-method"):
        shutil.copytree(given, folder / place, dirs_exist_ok=True)


def prepare_many_machines(given, folder, names):
    """Inside a step."""
    features = torch.zeros(2, 3, 4)
    names |= {
        "distributed": distributed,
        "out": SimpleNamespace(features=features),
        "batch": SimpleNamespace(labels=features),
    }


def prepare_metrics(given, folder, names):
    random = np.random.RandomState(0)
    labels = random.randint(0, 2, (30, 3)).astype(np.int8)
    names |= {
        "logits": random.randn(30, 3).astype(np.float32),
        "labels": labels,
        "classes": ("a", "b", "c"),
    }


def prepare_formats(given, folder, names):
    """Tiny files of the other programs."""
    beside = (
        "yolo/images/a.jpg",
        "yolo/labels/a.txt",
        "voc/a.jpg",
        "dogs-and-cats/dog/a.jpg",
        "dogs-and-cats/cat/b.jpg",
    )
    for path in ("photos/a.jpg", "photos/b.jpg", "coco/train2017/7.jpg", "dataset/data/a.jpg", *beside):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".jpg"):
            Image.new("RGB", (32, 32), "red").save(folder / path)
    (folder / "yolo/labels/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "yolo/data.yaml").write_text("names: [dog, cat]\n")
    (folder / "voc/a.xml").write_text("<annotation><object><name>dog</name></object></annotation>")
    (folder / "photos/a.txt").write_text("dog, cat\n")
    (folder / "photos/b.jpg.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>dog</rdf:li>'
        "</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    (folder / "train-annotations-human-imagelabels.csv").write_text(
        "ImageID,Source,LabelName,Confidence\na,verification,/m/dog,1\nb,verification,/m/cat,1\na,verification,/m/cat,0\n"
    )
    (folder / "class-descriptions.csv").write_text("LabelName,DisplayName\n/m/dog,Dog\n/m/cat,Cat\n")
    lvis = {
        "images": [
            {
                "id": 7,
                "file_name": "train2017/7.jpg",
                "neg_category_ids": [2],
                "not_exhaustive_category_ids": [],
            }
        ],
        "annotations": [{"image_id": 7, "category_id": 1}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }
    ticked = {"from_name": "tags", "to_name": "image", "type": "choices", "value": {"choices": ["dog"]}}
    task = {
        "id": 1,
        "data": {"image": "/data/upload/a.jpg"},
        "annotations": [{"result": [ticked], "was_cancelled": False}],
    }
    positive = {"_cls": "Classifications", "classifications": [{"_cls": "Classification", "label": "dog"}]}
    sample = {"filepath": "data/a.jpg", "tags": [], "positive_labels": positive, "negative_labels": positive}
    sample["negative_labels"] = json.loads(json.dumps(positive).replace("dog", "cat"))
    for name, content in {
        "lvis_v1_val.json": lvis,
        "project-1.json": [task],
        "dataset/samples.json": {"name": "x", "samples": [sample]},
        "tags.jsonl": {"image": "a.jpg", "tags": ["dog"]},
    }.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "data").mkdir()
    image = {"bytes": (folder / "photos/a.jpg").read_bytes(), "path": "x.jpg"}
    pq.write_table(
        pa.table({"image": [image], "labels": [["dog"]]}), folder / "data/train-00000-of-00001.parquet"
    )
    rows = [f"{n}.jpg,p{n // 2},{n % 2},{n // 3 % 2}" for n in range(30)]
    (folder / "labels.csv").write_text("\n".join(["image,patient,dog,cat", *rows]) + "\n")


PREPARED = {
    "README.md": prepare_readme,
    "docs/tutorial.md": prepare_nothing,
    "docs/tutorial-real.md": prepare_nothing,
    "docs/tutorial-new-class.md": prepare_nothing,
    "docs/tutorial-hierarchy.md": prepare_nothing,
    "docs/adding-a-method.md": prepare_adding,
    "docs/formats.md": prepare_formats,
    "docs/many-machines.md": prepare_many_machines,
    "docs/metrics.md": prepare_metrics,
}


def test_a_page_that_is_wrong_names_its_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    session = Session(lambda: "".join(capfd.readouterr()))
    with pytest.raises(
        AssertionError, match=r"docs/x.md, block at line 7: partlabel evaluate runs/none\n.*runs/none"
    ):
        session.run(Block("docs/x.md", 7, "bash", "partlabel evaluate runs/none\n"))
    with pytest.raises(AssertionError, match=r"line 9: .*ls none \| head\nls: "):
        session.run(Block("docs/x.md", 9, "bash", "set -o pipefail; ls none | head\n"))
    assert main(["--version"]) == 0

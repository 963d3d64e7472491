"""The report: what it shows, that it is whole in itself, and that nothing in it can do harm."""

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.headline import headline
from partlabel.evaluation.metrics import evaluate
from partlabel.reporting import svg_plots, thumbnails
from partlabel.reporting.examples import Example
from partlabel.reporting.run_report import build
from partlabel.reporting.run_sections import settings

CLASSES = ("cat", "dog", "tree")
HOSTILE = "<img src=x onerror=\"alert('$a$')\">"
SECTIONS = [
    "classes",
    "curves",
    "training",
    "pseudo-labels",
    "filled",
    "examples",
    "graph",
    "labels",
    "settings",
]


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [attrs["id"] for attrs in self.all("section")]


@pytest.fixture
def photos(tmp_path: Path) -> LabelTable:
    """Eight photos of 400 x 300, about half of their labels known."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for n in range(8):
        pixels = random.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((400, 300)).save(folder / f"{n}.jpg")
    labels = random.choice([PRESENT, ABSENT, UNKNOWN, UNKNOWN], (8, 3)).astype(np.int8)
    return LabelTable(tuple(f"{n}.jpg" for n in range(8)), CLASSES, labels, root=folder)


def everything(table: LabelTable) -> dict[str, Any]:
    random = np.random.default_rng(1)
    count = len(table.classes)
    truth = random.integers(0, 2, (20, count)).astype(np.int8)
    scores = random.normal(size=truth.shape).astype(np.float32)
    example = Example(
        table.path(0),
        table.labels[0],
        random.random(count),
        random.random((count, count)),
        random.random((count, 5, 4)),
    )
    return {
        "title": "A run",
        "settings": {"method": "sst", "options": {"threshold": 0.9}, "unset": None},
        "evaluation": evaluate(scores, truth, table.classes),
        "baseline": ("plain", evaluate(scores + truth, truth, table.classes)),
        "predictions": (scores, truth),
        "history": [
            {"epoch": 0, "terms": {"bce": 0.7}, "val_map": None},
            {
                "epoch": 1,
                "terms": {"bce": 0.5, "cooccurrence": 1},
                "val_map": 0.4,
                "pseudo_labels": {"intra": {"count": 12, "precision": 0.75, "recall": None}},
            },
        ],
        "table": table,
        "filled": random.random((8, count)),
        "truth": random.integers(0, 2, (8, count)).astype(np.int8),
        "graph": random.random((count, count)),
        "examples": [example],
    }


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def cells(page: str) -> list[tuple[str, str, str]]:
    """File, class and number under every thumbnail of filled labels."""
    filled = page.split('id="filled"')[1].split("</section>")[0]
    found = re.findall(
        r'title="([^"]*)".*?<figcaption><span>(.*?)</span><span[^>]*>(.*?)</span>', filled, re.DOTALL
    )
    return [(file, name, number) for file, name, number in found]


def test_a_title_is_enough(tmp_path: Path) -> None:
    page = read(build(tmp_path / "new" / "report.html", title="Bare"))
    assert page.sections == []
    assert page.all("script") == []
    assert "Bare" in page.text


def test_everything_given_is_shown(tmp_path: Path, photos: LabelTable) -> None:
    given = everything(photos)
    page = read(build(tmp_path / "report.html", **given))
    assert page.sections == SECTIONS
    assert [a["href"] for a in page.all("a")] == [f"#{section}" for section in SECTIONS]
    assert f"{100 * given['evaluation'].map:.1f}" in page.text
    assert {"method", "sst", "options.threshold", "0.9", "intra", "cooccurrence"} <= set(page.text)
    assert "unset" not in page.text
    assert "None" not in " ".join(page.text)
    assert "nan" not in page.text


@pytest.mark.parametrize(
    ("left_out", "gone"),
    [
        (["evaluation", "baseline"], "classes"),
        (["predictions"], "curves"),
        (["filled"], "filled"),
        (["examples"], "examples"),
        (["graph"], "graph"),
        (["settings"], "settings"),
    ],
)
def test_a_section_goes_with_its_data(
    tmp_path: Path, photos: LabelTable, left_out: list[str], gone: str
) -> None:
    given = {name: value for name, value in everything(photos).items() if name not in left_out}
    page = read(build(tmp_path / "report.html", **given))
    assert page.sections == [section for section in SECTIONS if section != gone]


def test_without_history_and_table_their_sections_go(tmp_path: Path, photos: LabelTable) -> None:
    given = {k: v for k, v in everything(photos).items() if k not in ("history", "table", "filled", "truth")}
    page = read(build(tmp_path / "report.html", **given))
    assert page.sections == ["classes", "curves", "examples", "graph", "settings"]


def test_the_page_loads_nothing_from_anywhere_and_forbids_itself_to(
    tmp_path: Path, photos: LabelTable
) -> None:
    text = build(tmp_path / "report.html", **everything(photos)).read_text(encoding="utf-8")
    page = Page(text)
    addresses = [
        value
        for _, attrs in page.tags
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href", "srcset", "data", "action")
    ]
    assert len(addresses) > 20
    assert all(address and address.startswith(("data:", "#")) for address in addresses)
    assert page.all("link") == []
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    script = text.split("<script>")[1].split("</script>")[0]
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")


def test_hostile_names_are_shown_as_they_are_and_do_nothing(tmp_path: Path, photos: LabelTable) -> None:
    given = everything(photos)
    tame = read(build(tmp_path / "tame.html", **given))
    names = (HOSTILE, "</script>", "{{ 7 * 7 }}")
    table = LabelTable(photos.images, names, photos.labels, root=photos.root)
    wild = everything(table) | {
        "title": "</title>" + HOSTILE,
        "settings": {HOSTILE: HOSTILE, "b": 1},
        "baseline": (HOSTILE, everything(table)["baseline"][1]),
        "history": [
            {"terms": {HOSTILE: 0.5, "b": 1.0}, "val_map": 0.3, "pseudo_labels": {HOSTILE: {"count": 1.0}}}
        ],
    }
    wild = build(tmp_path / "wild.html", **wild).read_text(encoding="utf-8")
    page = Page(wild)
    assert [len(page.all(tag)) for tag in ("img", "script")] == [len(tame.all("img")), 1]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.text.count(HOSTILE) >= 5
    assert {"</script>", "{{ 7 * 7 }}", "</title>" + HOSTILE} <= set(page.text)
    assert "49" not in page.text
    ticks = [name if len(name) <= 22 else name[:21] + "…" for name in names]
    assert set(ticks) <= set(page.text)  # in the heat maps


def test_a_class_is_a_row_with_both_average_precisions_and_the_baselines(
    tmp_path: Path, photos: LabelTable
) -> None:
    given = everything(photos)
    text = build(tmp_path / "report.html", **given).read_text(encoding="utf-8")
    body = text.split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in body.split("<tr>")[1:]]
    other = dict(zip(CLASSES, given["baseline"][1].ap, strict=True))
    want = []
    for c in sorted(given["evaluation"].classes, key=lambda c: -c.ap):
        shares = (c.ap, other[c.name], c.ap_interpolated, c.precision, c.recall)
        want.append([c.name, *(f"{100 * v:.1f}" for v in shares), str(c.present), str(c.absent)])
    assert rows == want


def test_classes_that_cannot_be_scored_are_named_with_the_reason(tmp_path: Path) -> None:
    labels = np.array([[1, UNKNOWN], [0, UNKNOWN]], dtype=np.int8)
    scores = np.array([[1, 0], [0, 0]], dtype=np.float32)
    page = read(
        build(
            tmp_path / "r.html",
            title="t",
            evaluation=evaluate(scores, labels, ("cat", "moon")),
            predictions=(scores, labels),
        )
    )
    assert "moon (no label is known)" in " ".join(page.text)
    assert len(page.all("polyline")) == 1


def test_where_nothing_can_be_scored_the_page_still_stands(tmp_path: Path) -> None:
    nothing = evaluate(np.zeros((2, 1), np.float32), np.full((2, 1), UNKNOWN, np.int8), ["moon"])
    text = " ".join(read(build(tmp_path / "r.html", title="t", evaluation=nothing)).text)
    assert "moon (no label is known)" in text
    assert not re.search(r"\bnan\b|–", text)  # nothing is promised that cannot be measured


def test_a_curve_goes_through_the_points_counted_by_hand(tmp_path: Path) -> None:
    labels = np.array([[1], [0], [1], [0]], dtype=np.int8)
    scores = np.array([[4], [3], [2], [1]], dtype=np.float32)
    given = {"evaluation": evaluate(scores, labels, ["cat"]), "predictions": (scores, labels)}
    page = read(build(tmp_path / "r.html", title="t", **given))
    # recall 0 at precision 1, recall 1/2 at precision 1, recall 1 at precision 2/3; y grows downwards
    assert page.all("polyline")[0]["points"] == "0.0,0.0 50.0,0.0 100.0,33.3"
    assert page.all("line")[0]["y1"] == "50.0"  # guessing


def test_the_surest_and_the_most_doubtful_are_unknown_cells_one_an_image_and_judged(
    tmp_path: Path, photos: LabelTable
) -> None:
    labels = np.array([[UNKNOWN, UNKNOWN, 1], [1, UNKNOWN, UNKNOWN], [0, 0, 0]], dtype=np.int8)
    table = LabelTable(photos.images[:3], CLASSES, labels, root=photos.root)
    filled = np.array([[0.97, 0.99, 1.0], [1.0, 0.51, 0.96], [1.0, 1.0, 1.0]])
    truth = np.array([[1, 1, 1], [1, UNKNOWN, 0], [0, 0, 0]], dtype=np.int8)
    page = build(tmp_path / "r.html", title="t", table=table, filled=filled, truth=truth).read_text("utf-8")
    surest, doubtful = (
        [("0.jpg", "dog", "✓ 0.990"), ("1.jpg", "tree", "✗ 0.960")],
        [("1.jpg", "dog", "0.510")],
    )
    assert cells(page) == [*surest, *doubtful, ("0.jpg", "cat", "0.970, present")]


def test_one_class_does_not_take_every_place_among_the_surest(tmp_path: Path) -> None:
    labels = np.full((40, 2), UNKNOWN, dtype=np.int8)
    table = LabelTable(tuple(f"{n}.jpg" for n in range(40)), ("cat", "dog"), labels)
    filled = np.stack([np.linspace(0.99, 0.9, 40), np.linspace(0.4, 0.3, 40)], 1)
    page = build(tmp_path / "r.html", title="t", table=table, filled=filled, thumbnails=6).read_text("utf-8")
    assert [name for _, name, _ in cells(page)[:6]] == ["cat"] * 3 + ["dog"] * 3
    assert "no readable image" in page


def test_a_broken_or_missing_photo_leaves_a_gap_and_not_a_failure(tmp_path: Path, photos: LabelTable) -> None:
    photos.path(0).write_bytes(photos.path(0).read_bytes()[:600])
    photos.path(1).unlink()
    photos.path(2).write_text("no image")
    page = read(build(tmp_path / "r.html", **everything(photos)))
    assert page.text.count("no readable image") >= 2
    assert thumbnails.thumbnail(photos.path(3)) is not None


def test_thumbnails_are_small_jpegs_turned_upright(tmp_path: Path) -> None:
    photo = Image.new("RGB", (1600, 800), "red")
    orientation = photo.getexif()
    orientation[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=orientation)
    picture = thumbnails.thumbnail(tmp_path / "turned.jpg")
    assert picture is not None
    thumbnail = Image.open(BytesIO(b64decode(picture.address.removeprefix("data:image/jpeg;base64,"))))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (80, 160))
    assert (picture.width, picture.height) == (80, 160)


def test_a_spotlight_lights_where_the_class_looks_and_leaves_the_rest_dim(tmp_path: Path) -> None:
    Image.new("RGB", (160, 160), (250, 180, 40)).save(tmp_path / "photo.png")

    def pixels(attention: np.ndarray) -> np.ndarray:
        picture = thumbnails.spotlight(tmp_path / "photo.png", attention)
        assert picture is not None
        return np.asarray(Image.open(BytesIO(b64decode(picture.address.split(",")[1]))), dtype=float)

    left = np.zeros((4, 4))
    left[:, 0] = 0.02
    lit = pixels(left)
    np.testing.assert_allclose(lit[80, 8], (250, 180, 40), atol=12)
    assert lit[80, 150].max() < 150
    np.testing.assert_allclose(pixels(np.full((4, 4), 1 / 16)).mean((0, 1)), (250, 180, 40), atol=6)
    assert pixels(np.zeros((4, 4))).max() < 150
    assert pixels(np.full((4, 4), np.nan)).max() < 150


def test_known_present_classes_come_first_in_an_example_and_known_absent_ones_last() -> None:
    labels = np.array([UNKNOWN, ABSENT, PRESENT, UNKNOWN, PRESENT], dtype=np.int8)
    probability = np.array([0.2, 0.9, 0.1, 0.8, 0.3])
    assert Example(Path("a"), labels, probability).order(5) == [4, 2, 3, 0, 1]
    assert Example(Path("a")).order(3) == [0, 1, 2]


def test_the_graphs_strongest_links_are_named_and_its_diagonal_is_not_one(tmp_path: Path) -> None:
    table = LabelTable(("a.jpg",), CLASSES, np.ones((1, 3), dtype=np.int8))
    graph = np.array([[1, 0.25, 0], [0.75, 1, 0], [0, 0, 1]])
    page = build(tmp_path / "r.html", title="t", table=table, graph=graph).read_text("utf-8")
    assert "Strongest: dog → cat 75 %, cat → dog 25 %." in page


def test_large_graphs_show_the_most_frequent_classes_and_say_so(tmp_path: Path) -> None:
    labels = np.zeros((1, 50), dtype=np.int8)
    labels[0, 45] = PRESENT
    table = LabelTable(("a.jpg",), tuple(f"class-{c}" for c in range(50)), labels)
    text = build(tmp_path / "r.html", title="t", table=table, graph=np.eye(50)).read_text("utf-8")
    graph = text.split('id="graph"')[1].split("</section>")[0]
    assert "The 40 most frequent of 50 classes" in graph
    assert ">class-45<" in graph
    assert ">class-49<" not in graph


def test_plots_take_the_pages_colours_and_keep_text_as_text() -> None:
    drawn = svg_plots.line_plot({"_$a$": [0.1, None, float("nan")], "b": [1, 2, 3]}, [0, 1, 2])
    assert "_$a$" in re.sub(r"\u2009", "", drawn)
    assert "var(--series-1)" in drawn
    assert "var(--series-2)" in drawn
    assert "#0101" not in drawn
    assert "#0102" not in drawn
    assert drawn.startswith("<svg")
    assert not re.search(r'<svg[^>]* (width|height)="', drawn)


@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.full((2, 2), np.nan), np.eye(2), np.ones((1, 1))])
def test_heat_maps_of_nothing_still_draw(matrix: np.ndarray) -> None:
    assert "<svg" in svg_plots.heat_map(matrix, CLASSES[: len(matrix)])
    assert svg_plots.top(matrix) == 1.0


def test_a_report_that_fails_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, photos: LabelTable
) -> None:
    out = tmp_path / "new" / "report.html"
    build(out, title="old")
    before = out.read_bytes()
    other = evaluate(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.int8), ["cow"])
    with pytest.raises(ValueError, match="the evaluation has other classes than the table"):
        build(out, title="new", evaluation=other, table=photos)
    assert out.read_bytes() == before
    assert [file.name for file in out.parent.iterdir()] == ["report.html"]


def test_numbers_without_class_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the class names are missing: also give"):
        build(tmp_path / "r.html", title="t", graph=np.eye(3))


def test_the_same_run_gives_the_same_page(tmp_path: Path, photos: LabelTable) -> None:
    given = everything(photos)
    first, second = (build(tmp_path / name, **given).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_the_headline_comes_first_and_test_before_validation(tmp_path: Path, photos: LabelTable) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (40, 3)).astype(np.int8)
    scores = random.normal(size=labels.shape).astype(np.float32)
    evaluation = evaluate(scores, labels, CLASSES)
    headlines = [headline(kind, scores, labels, CLASSES) for kind in ("validation", "test")]
    text = build(
        tmp_path / "r.html", title="t", evaluation=evaluation, test=evaluation, headlines=headlines
    ).read_text("utf-8")
    shown = [each.sentence for each in headlines]
    assert text.index(shown[1]) < text.index(shown[0]) < text.index('class="numbers"')
    assert text.index('id="classes"') < text.index('id="classes-validation"')
    assert f"<b>{100 * evaluation.map:.1f}</b><span>mAP, test</span>" in text


def test_classes_with_fewer_than_five_known_positives_are_grey(tmp_path: Path) -> None:
    labels = np.zeros((20, 2), np.int8)
    labels[:5, 0], labels[:4, 1] = PRESENT, PRESENT
    scores = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
    page = read(build(tmp_path / "r.html", title="t", evaluation=evaluate(scores, labels, ("cat", "dog"))))
    grey = [row for row in page.all("tr") if row.get("class") == "few"]
    assert len(grey) == 1
    text = (tmp_path / "r.html").read_text("utf-8")
    assert re.search(r'<tr class="few"[^>]*><td>dog</td>', text)
    assert "Classes in grey have fewer than 5 known present labels" in text


def test_positives_only_say_what_can_be_said_and_nothing_else(tmp_path: Path) -> None:
    labels = np.where(np.random.default_rng(0).random((40, 3)) < 0.4, PRESENT, UNKNOWN).astype(np.int8)
    scores = np.random.default_rng(1).normal(size=labels.shape).astype(np.float32)
    told = headline("validation", scores, labels, CLASSES)
    build(tmp_path / "r.html", title="t", evaluation=evaluate(scores, labels, CLASSES), headlines=[told])
    text = (tmp_path / "r.html").read_text("utf-8")
    assert told.others is not None and told.coverage is not None
    assert (
        f"<b>{100 * told.others.value:.1f}</b><span>mAP against all other images, validation</span>" in text
    )
    assert f"<b>{100 * told.coverage:.1f}</b><span>percent of the known present labels" in text
    assert "--method assume_negative" in text
    assert not re.search(r"\bnan\b|OF1|–", text)


def test_settings_and_what_a_search_compared_are_complete(tmp_path: Path) -> None:
    candidates = [
        {"method": "bce", "head": "average", "weight_decay": 0.3, "cost": 0.29, "seconds": 1.0, "tried": []},
        {"method": "soft_sst", "head": "covariance", "weight_decay": 0.03, "cost": 0.27, "seconds": 9.5},
    ]
    selection = {"criterion": "calibrated_cross_entropy", "folds": 3, "candidates": candidates}
    description = {
        "tagger": {"method": "soft_sst", "method_args": {"temperature": 0.5}, "head": "covariance"},
        "training": {"epochs": 9, "weight_decay": None},
        "selection": {"weight_decay": 0.03},
        "recipe": "best",
    }
    build(tmp_path / "r.html", title="t", settings=settings(description), selection=selection)
    text = (tmp_path / "r.html").read_text("utf-8")
    for name, value in (
        ("recipe", "best"), ("method", "soft_sst"), ("method.temperature", "0.5"), ("epochs", "9"),
        ("weight_decay", "0.03"),
    ):  # fmt: skip
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text
    rows = re.findall(r"<tr[^>]*><td>(\w+)</td><td>(\w+)</td><td>([\d.]+)</td><td>([\d.]+)</td>", text)
    assert rows == [("soft_sst", "covariance", "0.03", "0.2700"), ("bce", "average", "0.3", "0.2900")]
    assert "calibrated cross entropy" in text and "3-fold" in text


def test_cards_promise_only_what_they_show(tmp_path: Path, photos: LabelTable) -> None:
    plain = Example(photos.path(0), photos.labels[0], np.array([0.9, 0.2, 0.4]))
    text = build(tmp_path / "r.html", title="t", table=photos, examples=[plain]).read_text("utf-8")
    assert "<h2>Examples</h2>" in text
    assert "and attention maps" not in text and "the predicted co-occurrence" not in text
    full = build(tmp_path / "full.html", **everything(photos)).read_text("utf-8")
    assert "and attention maps" in full and "the predicted co-occurrence" in full


def test_every_picture_has_its_size(tmp_path: Path, photos: LabelTable) -> None:
    page = read(build(tmp_path / "r.html", **everything(photos)))
    images = page.all("img")
    assert images
    assert all(int(image["width"]) > 0 and int(image["height"]) > 0 for image in images)
    assert not any("loading" in image for image in images)

"""All pages in a real browser, on a desk and on a phone: nothing scrolls sideways, and what matters is in view."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from drawings import draw_photos
from partlabel.core.labels import UNKNOWN
from partlabel.data import embedders
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.headline import headline
from partlabel.evaluation.metrics import evaluate
from partlabel.reporting import examples, run_report
from partlabel.reporting.page import write_page

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
CLASSES = (
    "red", "green", "a class whose name is long enough for two lines", "Averyveryverylongwordwithoutanyspacesinit",
    "Red green", "red, Green", *(f"class {n:02}" for n in range(24)),
)  # fmt: skip


EXAMPLE = examples.Example(Path(), attention=np.random.default_rng(2).random((30, 4, 4)).astype(np.float32))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LabelTable:
    """Thirty classes in forty photos of which the name of one is long, half of the labels unknown."""
    folder = tmp_path_factory.mktemp("pages")
    draw_photos(folder, 40)
    long = "a-folder-of-photos-with-a-long-name/and-a-file-name-that-is-longer-still-than-that-0123456789.png"
    (folder / long).parent.mkdir()
    (folder / "00.png").rename(folder / long)
    Image.new("RGB", (600, 200), "teal").save(folder / "01.png")
    random = np.random.default_rng(0)
    truth = (random.random((40, len(CLASSES))) < 0.2).astype(np.int8)
    labels = np.where(random.random(truth.shape) < 0.5, UNKNOWN, truth).astype(np.int8)
    said = (f"<b>red</b> and green {'w' * 300}", *(f"text {n} of a wall" for n in range(9)))
    images = (long, *(f"{n:02}.png" for n in range(1, 40)))
    return LabelTable(images, CLASSES, labels, root=folder, texts=(said,) * 40)


@pytest.fixture(scope="module")
def written(table: LabelTable, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the addresses of the pages that are files."""
    from partlabel.cli.main import main

    out = tmp_path_factory.mktemp("written")
    random = np.random.default_rng(1)
    truth = (random.random((40, len(CLASSES))) < 0.2).astype(np.int8)
    scores = random.normal(size=truth.shape).astype(np.float32)
    evaluation = evaluate(scores, truth, CLASSES)
    example = examples.Example(
        table.path(0), table.labels[0], random.random(30), random.random((30, 30)), random.random((30, 4, 4))
    )
    candidates = [
        {
            "method": "assume_negative",
            "head": "rooted_average",
            "weight_decay": 0.3,
            "cost": 0.2,
            "seconds": 1,
        }
    ]
    run_report.build(
        out / "report.html", title="a-method@a-run-with-a-long-name-without-spaces", settings={"method": "soft_sst"},
        evaluation=evaluation, test=evaluation, predictions=(scores, truth), table=table,
        filled=random.random((40, 30)), graph=random.random((30, 30)), examples=[example],
        headlines=[headline("test", scores, truth, CLASSES)], selection={"candidates": candidates},
        history=[{"epoch": n, "terms": {"bce": 1 / (n + 1)}, "val_map": 0.1 * n} for n in range(3)],
    )  # fmt: skip
    header = [
        "method",
        *(f"{share} % known" for share in (10, 30, 50, 70, 90)),
        "difference to the linear head",
    ]
    section = {"protocol": "uniform", "header": header, "lines": [[f"{word} ± 0.3" for word in header]] * 40}
    section |= {"curves": None, "pseudo": []}
    write_page(out / "bench.html", "bench.html", {"title": "bench", "sections": [section]})
    table.save(out / "labels.csv")
    (out / "rules.yaml").write_text(
        yaml.safe_dump({"implies": {CLASSES[2]: [CLASSES[3]]}, "excludes": [["red", "green"]]})
    )
    words = [
        "inspect",
        out / "labels.csv",
        "--images",
        table.root,
        "--out",
        out / "inspect.html",
        "--vocabulary",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        patch.setattr(embedders, "automatic", lambda: (embedders.find("words"), ""))
        assert main([*map(str, words)]) == 0
    return {name: (out / f"{name}.html").as_uri() for name in ("report", "bench", "inspect")}


@pytest.fixture(scope="module")
def served(table: LabelTable, tmp_path_factory: pytest.TempPathFactory):
    """Return the addresses of the pages on which people answer."""
    pytest.importorskip("fastapi")
    uvicorn = pytest.importorskip("uvicorn")
    from partlabel.core.access_control import Guard
    from partlabel.review import app, grid_pages, sheet_pages, tag_pages
    from partlabel.review.decisions import DecisionLog
    from partlabel.review.photo_texts import PhotoTexts
    from partlabel.review.predictions_cache import Looked
    from partlabel.review.session import Session
    from partlabel.review.sheets import Sheets

    out = tmp_path_factory.mktemp("served")
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    looked = Looked(random.normal(size=(40, 30)).astype(np.float32), features.astype(np.float16))
    beside = PhotoTexts(table.texts, table.classes, looked.logits)
    session = Session(table, looked, DecisionLog(out / "a.sqlite"), beside=beside)
    sheets = Sheets(table, DecisionLog(out / "b.sqlite"), 20)
    seen = Session(table, looked, DecisionLog(out / "c.sqlite"), gaze=lambda row: EXAMPLE)
    whole = Session(table, looked, DecisionLog(out / "d.sqlite"))
    pages = {
        "tags": tag_pages.create(whole, Guard("127.0.0.1", None, "t"), title="a@run", port=4),
        "grid": grid_pages.create(
            seen, Guard("127.0.0.1", None, "t"), size=12, title="a@run", sees=True, port=3
        ),
        "review": app.create(
            session, Guard("127.0.0.1", None, "t"), title="a-method@a-run-with-a-long-name", port=1
        ),
        "sheet": sheet_pages.create(
            sheets, Guard("127.0.0.1", None, "t"), title="a@run", run="runs/a", port=2
        ),
    }
    running, addresses = [], {}
    for name, page in pages.items():
        bound = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(page, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        running.append((server, thread))
        addresses[name] = f"http://127.0.0.1:{bound.getsockname()[1]}/"
    addresses["who"] = f"{addresses['review']}who"
    yield addresses
    for server, thread in running:
        server.should_exit = True
        thread.join(10)
    session.decisions.close()
    sheets.decisions.close()
    seen.decisions.close()
    whole.decisions.close()


@pytest.fixture
def opened(chromium, request):
    """Opens a page at a size, and says what it complained about."""
    contexts = []

    def open_(address, size):
        context = chromium.new_context(viewport=size, is_mobile=size is PHONE, has_touch=size is PHONE)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()


def overflow(page):
    """By how many pixels the page is wider than the screen."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.slow
@SIZES
@pytest.mark.parametrize("name", ["report", "bench", "inspect"])
def test_no_written_page_scrolls_sideways(opened, written, name, size):
    page = opened(written[name], size)
    assert overflow(page) <= 0
    assert page.evaluate("innerWidth") == size["width"]  # a phone zooms out where something is too wide
    assert page.complaints == []


@pytest.mark.slow
@SIZES
@pytest.mark.parametrize("name", ["review", "sheet", "grid", "tags", "who"])
def test_no_served_page_scrolls_sideways(opened, served, name, size):
    page = opened(served[name], size)
    assert overflow(page) <= 0
    assert page.evaluate("innerWidth") == size["width"]
    assert page.complaints == []


@pytest.mark.slow
@SIZES
def test_yes_and_no_are_in_view_without_scrolling_and_within_reach_of_a_thumb(opened, served, size):
    page = opened(served["review"], size)
    for name in ("yes", "no", "skip"):
        box = page.locator(f".answers .{name}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
        assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"]
        if size is PHONE:
            assert box["height"] >= 44  # the least that a finger hits
            assert box["y"] > size["height"] * 2 / 3
    heading, photo = page.locator("h1").bounding_box(), page.locator(".photo-large img").first.bounding_box()
    assert heading["y"] >= 0 and heading["y"] + heading["height"] <= size["height"]
    assert photo["y"] >= 0 and photo["y"] + photo["height"] <= size["height"]


@pytest.mark.slow
def test_menu_links_land_where_they_point(opened, written):
    page = opened(written["report"], PHONE)
    page.add_style_tag(content="html { scroll-behavior: auto !important }")
    links = page.locator("nav a").all()
    assert links
    for link in links:
        target = link.get_attribute("href")
        link.click()
        page.wait_for_timeout(100)
        top, bottom = page.evaluate(
            "id => [document.querySelector(id).getBoundingClientRect().top,"
            " document.documentElement.scrollHeight - scrollY - innerHeight]",
            target,
        )
        ends = bottom <= 2 and 0 <= top < PHONE["height"]  # the page ends before, and the target is in view
        assert abs(top) <= 2 or ends, target


@pytest.mark.slow
def test_a_long_list_shows_that_it_scrolls_and_takes_keys(opened, written):
    page = opened(written["report"], PHONE)
    box = page.locator("#classes .scroll")
    hidden, shadows, focusable = box.evaluate(
        "e => [e.scrollHeight - e.clientHeight, getComputedStyle(e).backgroundImage.split('gradient').length,"
        " e.tabIndex]"
    )
    assert hidden > 0 and shadows > 4 and focusable == 0
    last = box.locator("th").last
    assert last.inner_text() == "absent"  # no column is left out: the box scrolls to it
    box.evaluate("e => { e.scrollLeft = e.scrollWidth }")
    assert last.bounding_box()["x"] < PHONE["width"]


@pytest.mark.slow
@SIZES
def test_all_tags_of_a_photo_are_answered_by_keys_and_by_touch(opened, served, size):
    page = opened(served["sheet"], size)
    done = int(page.locator(".counts b").inner_text())
    save = page.locator(".save")
    assert page.locator("input:checked").count() == 0 and save.is_disabled()
    if size is PHONE:
        page.locator(".tag .yes").nth(0).tap()
        page.locator(".tag .cannot").nth(1).tap()
        page.locator(".rest").tap()
    else:
        page.keyboard.press("y")
        page.keyboard.press("s")
        page.keyboard.press("r")
    assert "28 tags" in page.locator("#confirm").inner_text()
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("input:checked").count() == 2 and save.is_disabled()
    page.locator(".rest").click()
    page.get_by_role("button", name="Set absent").click()
    page.wait_for_function("() => document.querySelectorAll('input:checked').length === 30")
    given = [each.get_attribute("value") for each in page.locator("input:checked").all()]
    assert given == ["present", "skip"] + ["absent"] * 28
    bar = page.locator(".save-bar").bounding_box()
    assert bar["y"] + bar["height"] <= size["height"]
    save.click()
    page.wait_for_function("n => document.querySelector('.counts b').textContent === String(n)", arg=done + 1)
    page.wait_for_function("() => document.querySelectorAll('input:checked').length === 0")
    page.keyboard.press("u")
    page.wait_for_function("n => document.querySelector('.counts b').textContent === String(n)", arg=done)
    page.wait_for_function("() => document.querySelectorAll('input:checked').length === 30")
    assert page.complaints == []


def given(page):
    """Return the answers that a page of photos shows."""
    return [each.get_attribute("value") for each in page.locator("[data-tile] input:checked").all()]


def decided(page, count):
    page.wait_for_function("n => document.querySelector('.counts b').textContent === String(n)", arg=count)


@pytest.mark.slow
def test_a_page_of_photos_is_answered_by_keys(opened, served):
    page = opened(served["grid"], DESK)
    done, before = int(page.locator(".counts b").inner_text()), given(page)
    assert len(before) == 12 and set(before) <= {"present", "absent"}
    other = {"present": "absent", "absent": "present"}
    page.keyboard.press("x")
    assert given(page) == [other[before[0]], *before[1:]]
    page.keyboard.press("s")  # answers and marks the next photo
    page.keyboard.press("n")
    page.keyboard.press("y")
    assert given(page)[:3] == ["skip", "absent", "present"]
    page.keyboard.press("ArrowLeft")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    assert given(page)[2:7] == ["present"] * 5
    page.keyboard.press(" ")
    assert page.locator("#full").is_visible() and page.locator("#full-name").inner_text()
    page.keyboard.press("n")  # answers the photo that is shown, and shows the next one
    page.keyboard.press(" ")
    assert not page.locator("#full").is_visible() and given(page)[6] == "absent"
    page.keyboard.press("a")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.tile .attention')].some(e => e.naturalWidth)"
    )
    sent = given(page)
    page.keyboard.press("Enter")
    decided(page, done + 11)  # the photo that was skipped stays undecided
    page.keyboard.press("u")
    decided(page, done)
    page.wait_for_function(
        "sent => [...document.querySelectorAll('[data-tile] input:checked')].map(e => e.value).join() === sent",
        arg=",".join(sent),
    )
    assert page.complaints == []


@pytest.mark.slow
def test_a_page_of_photos_is_answered_by_mouse(opened, served):
    page = opened(served["grid"], DESK)
    before, photos = given(page), page.locator(".tile .picture")
    photos.nth(3).hover()
    page.wait_for_function(
        "() => document.querySelectorAll('.tile')[3].querySelector('.attention').naturalWidth"
    )
    assert page.locator(".tile .attention:visible").count() == 1
    photos.nth(3).click()
    flipped = given(page)[3]
    assert flipped != before[3]
    photos.nth(8).click(modifiers=["Shift"])
    assert given(page)[3:9] == [flipped] * 6 and given(page)[9:] == before[9:]
    photos.nth(0).locator(".whole").click()
    assert page.locator("#full").is_visible() and given(page)[0] == before[0]
    page.get_by_role("button", name="Close").click()
    box = page.locator(".confirm-page").bounding_box()
    assert box["y"] + box["height"] <= DESK["height"]
    assert page.complaints == []


@pytest.mark.slow
def test_a_page_of_photos_is_answered_by_thumb(opened, served):
    page = opened(served["grid"], PHONE)
    done, before = int(page.locator(".counts b").inner_text()), given(page)
    page.locator(".tile .picture").nth(0).tap()
    page.locator(".tile .cannot").nth(1).tap()
    assert given(page)[0] != before[0] and given(page)[1] == "skip"
    for name in (".tile .cannot", ".tile .whole", ".confirm-page"):
        box = page.locator(name).first.bounding_box()
        assert box["height"] >= 44
    bar = page.locator(".confirm-page").bounding_box()
    assert bar["y"] > PHONE["height"] * 2 / 3 and bar["y"] + bar["height"] <= PHONE["height"]
    last = page.locator(".tile").last
    last.scroll_into_view_if_needed()
    page.locator(".confirm-page").tap()
    decided(page, done + 11)
    page.locator(".undo button").tap()
    decided(page, done)
    assert page.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "answers", "target"), [("grid", "[data-tile]", "grid"), ("tags", "[data-tag]", "tags")]
)
def test_a_key_right_after_a_new_page_undoes_with_the_answers(opened, served, name, answers, target):
    """The earliest task after the swap: the page is bound to htmx by then."""
    page = opened(served[name], DESK)
    page.evaluate(
        """name => document.addEventListener("htmx:afterSwap", event => {
            if (event.detail.target.id === name) setTimeout(() => {
                const key = new KeyboardEvent("keydown", {key: "u", bubbles: true});
                document.body.dispatchEvent(key);
            });
        }, {once: true})""",
        target,
    )
    done = int(page.locator(".counts b").inner_text())
    page.locator(f"{answers} .cannot").first.click()
    sent = page.locator(f"{answers} input:checked").evaluate_all("all => all.map(e => e.value)")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Undone.")
    decided(page, done)
    assert page.locator(f"{answers} input:checked").evaluate_all("all => all.map(e => e.value)") == sent
    assert sent.count("skip") == 1 and page.complaints == []


def chips(page):
    """Return the names of the chips that can be removed."""
    return [name.removesuffix(" ×") for name in page.locator("button.chip").all_inner_texts()]


@pytest.mark.slow
@SIZES
def test_tags_of_a_photo_are_chosen_by_a_search(opened, served, size):
    page = opened(served["tags"], size)
    page.wait_for_selector(".search:visible")
    done, before = int(page.locator(".counts b").inner_text()), chips(page)
    without_answer = page.locator("[data-tag]:not(:has(input:checked)) legend", has_text="class ")
    absent = without_answer.last.inner_text().rsplit(" ", 2)[0]
    if size is PHONE:
        page.locator(".search").fill(absent)
        page.locator("[data-tag]:visible .yes").first.tap()
        page.locator(".search").fill("")
        assert page.locator(".search").bounding_box()["height"] >= 44
        assert page.locator("button.chip").first.bounding_box()["height"] >= 44
    else:
        page.keyboard.press("/")
        page.keyboard.type(absent)
        page.keyboard.press("Enter")
    assert sorted(chips(page)) == sorted([*before, absent])
    page.locator("button.chip", has_text=absent).click()
    assert chips(page) == before
    page.locator(".rest").click()
    page.get_by_role("button", name="Set absent").click()
    page.wait_for_selector("[data-tag]:not(:has(input:checked))", state="detached")
    answered = page.locator("[data-tag] input:checked").count()
    assert answered == page.locator("[data-tag]").count() and chips(page) == before
    bar = page.locator(".save-bar").bounding_box()
    assert bar["y"] + bar["height"] <= size["height"]
    page.locator(".save").click()
    decided(page, done + answered)
    page.keyboard.press("u")
    decided(page, done)
    page.wait_for_function(
        "n => document.querySelectorAll('[data-tag] input:checked').length === n", arg=answered
    )
    assert page.complaints == []


@pytest.mark.slow
@SIZES
def test_a_tag_that_no_class_has_is_added(opened, served, size):
    page = opened(served["tags"], size)
    page.wait_for_selector(".search:visible")
    done, before = int(page.locator(".counts b").inner_text()), chips(page)
    add, typed = page.locator(".add"), page.locator(".search")
    typed.fill("class 07s")
    if size is PHONE:
        assert add.bounding_box()["height"] >= 44
        add.tap()
    else:
        page.keyboard.press("Enter")
    page.wait_for_selector(".doubt:visible")
    assert "There is a class “class 07”: is it the same?" in page.locator(".doubt").inner_text()
    page.get_by_role("button", name="Add “class 07s” anyway").click()
    assert sorted(chips(page)) == sorted([*before, "class 07s"])
    page.locator("button.chip", has_text="class 07s").click()
    assert chips(page) == before and page.locator("[name=tnew0]").count() == 0
    typed.fill("a, b")
    add.click()
    page.get_by_text("which separates tags in tables: add one tag after the other").wait_for()
    typed.fill("wooden leg")
    if size is PHONE:
        add.tap()
    else:
        page.keyboard.press("Shift+Enter")
    page.wait_for_selector("[name=new0]", state="attached")
    assert sorted(chips(page)) == sorted([*before, "wooden leg"]) and overflow(page) <= 0
    page.locator(".save").click()
    decided(page, done + len(before))
    assert (
        page.locator("[name=new0]").get_attribute("value") == "wooden leg"
        or page.locator(".chip.known", has_text="wooden leg").count()
    )
    page.locator(".undo button").click()
    decided(page, done)
    page.wait_for_function("() => document.querySelector('[name=tnew0]:checked')?.value === 'present'")
    assert sorted(chips(page)) == sorted([*before, "wooden leg"]) and page.complaints == []

"""What several test files share: a tiny folder of photos with a half-filled table, and the real photos."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from drawings import COLOURS, draw_photos
from small import QUICK, SMALL

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
"""The first example of a test imports modules, and test machines are shared: hypothesis has no deadlines."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A feature cache of the tests' own, and no lines about progress but where a test asks for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PARTLABEL_QUIET", "1")
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fuzz 100000`: how many mutated inputs `test_fuzz.py` tries in all, with other seeds than usual."""
    parser.addoption("--fuzz", type=int, default=0, help="mutated inputs that the fuzzer tries")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real collections (coco18, ccp, ...); tests that need it are skipped without it."""
    folder = os.environ.get("PARTLABEL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PARTLABEL_DATA names no folder of real photos")
    return Path(folder)


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with 32 drawings and `labels.csv`: 24 train rows, a third of their cells blank, and 8 test rows."""
    folder = tmp_path_factory.mktemp("collection")
    labels = draw_photos(folder / "photos", 32)
    blank = np.random.RandomState(1).rand(*labels.shape) < 1 / 3
    blank[24:] = False
    with open(folder / "labels.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split", *COLOURS])
        for row, (present, hidden) in enumerate(zip(labels, blank, strict=True)):
            cells = ["" if hide else int(there) for there, hide in zip(present, hidden, strict=True)]
            writer.writerow([f"{row:02}.png", "train" if row < 24 else "test", *cells])
    return folder


@pytest.fixture(scope="session")
def drawn(collection: Path) -> Any:
    """The table of `collection`."""
    from partlabel.data.tables.label_table import LabelTable

    return LabelTable.read(collection / "labels.csv", collection / "photos")


@pytest.fixture(scope="session")
def plain_run(drawn: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tagger that was trained on `drawn`, and the folder of its run; not to be changed."""
    from partlabel import Tagger

    out = tmp_path_factory.mktemp("runs") / "plain"
    return Tagger(drawn.classes, "bce", **SMALL).fit(drawn, out=out, **QUICK), out


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright, which drives the browser, is not installed"
    )
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with playwright.sync_playwright() as driver:
        if found is None and not Path(driver.chromium.executable_path).exists():
            pytest.skip("there is no Chromium on this machine, and none of playwright's own: make test-pages")
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()

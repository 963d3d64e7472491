"""The documentation as a site: it builds without a warning, every page is there, and nothing comes from other hosts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from partlabel import methods

ROOT = Path(__file__).parent.parent
WHY = "the site needs partlabel[docs]"
for package in ("sphinx", "furo", "myst_nb"):
    pytest.importorskip(package, reason=WHY)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_it_opens_on_its_first_page_and_has_the_pages(site):
    assert 'url=docs/index.html"' in (site / "index.html").read_text()
    for page in (
        "README",
        "CHANGELOG",
        "docs/tutorial",
        "docs/formats",
        "docs/gallery",
        "examples/quickstart",
    ):
        assert (site / f"{page}.html").exists(), page


@pytest.mark.slow
def test_each_method_has_its_equation_beside_its_function(site):
    for name in methods.names():
        page = (site / f"docs/generated/methods/{name}.html").read_text()
        assert "def</span>" in page and "Parameters" in page, name
    asl = re.sub(r"<[^>]+>", "", (site / "docs/generated/methods/asl.html").read_text())
    assert "-y (1-p)^g+ log p" in asl
    assert "methods/_assuming.py: Assuming.step" in asl  # it has no step of its own


@pytest.mark.slow
def test_nothing_is_fetched_from_other_hosts(site):
    fetched = re.compile(
        r"""<(?:script|img|iframe|source)[^>]+src=["'](?:https?:)?//|@import|url\(["']?https?:"""
    )
    linked = re.compile(r"""<link[^>]+rel=["'](?!canonical)[^>]+href=["'](?:https?:)?//""")
    for page in site.rglob("*.html"):
        content = page.read_text()
        assert not fetched.search(content) and not linked.search(content), page
    for sheet in site.rglob("*.css"):
        assert not fetched.search(sheet.read_text()), sheet

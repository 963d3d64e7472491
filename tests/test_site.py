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


@pytest.mark.slow
def test_the_site_builds_without_a_warning_has_its_pages_and_fetches_nothing(tmp_path):
    """One test, so that it is built once: its generated pages lie in the repository."""
    out = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    it_opens_on_its_first_page_and_has_the_pages(out)
    each_method_has_its_equation_beside_its_function(out / "docs/generated/methods")
    nothing_is_fetched_from_other_hosts(out)


def it_opens_on_its_first_page_and_has_the_pages(site):
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


def each_method_has_its_equation_beside_its_function(pages):
    for name in methods.names():
        page = (pages / f"{name}.html").read_text()
        assert 'class="equation' in page and 'class="function' in page, name
        assert "def</span>" in page and "Parameters" in page, name
    asl = re.sub(r"<[^>]+>", "", (pages / "asl.html").read_text())
    assert "-y (1-p)^g+ log p" in asl
    assert "methods/_assuming.py: Assuming.step" in asl  # it has no step of its own


def nothing_is_fetched_from_other_hosts(site):
    source = re.compile(r"""<(?:script|img|iframe|source)[^>]+src=["'](?:https?:)?//""")
    sheet = re.compile(r"""<link[^>]+rel=["'](?!canonical)[^>]+href=["'](?:https?:)?//""")
    inside = re.compile(r"""@import|url\(["']?(?:https?:)?//""")
    for page in site.rglob("*.html"):
        content = page.read_text()
        assert not source.search(content) and not sheet.search(content), page
    for style in site.rglob("*.css"):
        assert not inside.search(style.read_text()), style

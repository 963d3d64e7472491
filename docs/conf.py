"""How `make docs` builds the site: Sphinx over the repository's own Markdown, the theme Furo, nothing from other hosts.

The source folder is the repository, so that a link between two files is the same on the site as beside the code. What
is made of the code, a page a method and the reference, is written by `docs/generate.py` before anything is read.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import generate

from partlabel import __version__

project, author, release = "partlabel", "the authors of partlabel", __version__
copyright = "the authors of partlabel, Apache-2.0"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**", "examples/*.ipynb"]
exclude_patterns = [".*", "site", "runs", "src", "tests", "benchmarks", "**/.ipynb_checkpoints"]

html_theme = "furo"
html_title = "partlabel"
html_static_path = ["_site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "forward.html"}
templates_path = ["_site"]

default_role = "code"  # single backticks in docstrings are code, as in Markdown
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
autodoc_typehints, autodoc_typehints_format = "signature", "short"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar, napoleon_attr_annotations = True, False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
nb_execution_mode = "off"  # the notebook comes with its output; tests run it
suppress_warnings = ["myst.header"]


def setup(app):
    """Write the pages that come from the code, and let pages be that are yet to come."""
    app.connect("builder-inited", lambda app: generate.write(Path(app.srcdir)))
    app.connect("source-read", _leave_out_what_is_to_come)


def _leave_out_what_is_to_come(app, page, source):
    """Of the index, entries that end in `*` and match no page: Sphinx warns of them, and its warning has no name."""
    if page == root_doc:
        folder = Path(app.srcdir, page).parent
        lines = source[0].splitlines()
        source[0] = "\n".join(line for line in lines if line[-1:] != "*" or any(folder.glob(f"{line}.md")))

"""`partlabel methods`: what the folder holds, each with its paper."""

import re

import pytest

from partlabel import methods
from partlabel.cli.main import main
from partlabel.core.citations import cite
from partlabel.nn import backbones, heads
from partlabel.nn.backbones import ALIASES, _described


@pytest.mark.parametrize("name", methods.names())
def test_every_method_says_name_paper_and_year(name):
    title, paper, year = cite(methods.get(name).__doc__)
    assert title
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.", paper)
    assert re.fullmatch(r"(19|20)\d\d", year)


def test_a_citation_is_read_off_the_first_line():
    said = "Structured semantic transfer (Chen et al., AAAI 2022, arXiv:2112.10941).\n\nMore (of 1999)."
    assert cite(said) == ("Structured semantic transfer", "Chen et al., AAAI 2022, arXiv:2112.10941", "2022")


def test_the_year_is_not_taken_from_an_identifier():
    assert cite("A (B et al., arXiv:2012.10941, CVPR 2021).")[2] == "2021"
    assert cite("A (B et al., doi:10.1109/X.2019.00116).")[2] == ""


def test_a_docstring_over_two_lines_is_one_title():
    assert cite("A long\n    name (B, ICCV 2019, arXiv:1.2).")[0] == "A long name"


def test_a_docstring_without_paper_has_no_year():
    assert cite("Just a name.") == ("Just a name", "", "")


def test_the_listing_names_every_method_and_head(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["methods"]) == 0
    shown = capsys.readouterr().out
    for name in methods.names():
        assert re.search(rf"^│ {name} ", shown, re.MULTILINE)
        assert methods.get(name).adds in shown
    for name in heads.names():
        assert re.search(rf"^│ {name} ", shown, re.MULTILINE)
    assert "arXiv:2112.10941" in shown


def test_backbones_with_short_names_are_listed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    assert main(["methods", "--backbones"]) == 0
    said = capsys.readouterr().out
    line = next(each for each in said.splitlines() if "lite0" in each)
    assert (
        "tf_efficientnet_lite0" in line
        and "3.4 M" in line
        and "224" in line
        and "apache-2.0" in line
        and "installed" in line
    )
    assert "88 MB" in next(each for each in said.splitlines() if "dinov2-s" in each)
    assert "dinov3-license" in said and "apple-amlr" in said


@pytest.mark.parametrize("runs", [True, False])
def test_backbones_are_timed_by_pytorch_and_compiled(monkeypatch, capsys, runs):
    def compiled(module, size):
        if not runs:
            raise ImportError("no OpenVINO")
        return module

    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(_described, "FrozenRuntime", compiled)
    tiny = ALIASES["lite0"]._replace(model="test_resnet")
    monkeypatch.setattr(backbones, "ALIASES", {"tiny": tiny})
    monkeypatch.setitem(ALIASES, "tiny", tiny)
    assert main(["methods", "--backbones", "--measure"]) == 0
    cells = next(line for line in capsys.readouterr().out.splitlines() if "test_resnet" in line).split("│")
    eager, by_graph = (cell.strip() for cell in cells[6:8])
    assert eager.isdigit()
    assert by_graph.isdigit() if runs else by_graph == "-"

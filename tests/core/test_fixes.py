"""A message names its fix as whoever reads it can type it: in Python an argument, on the command line an option."""

import shlex
import warnings

import pytest
import yaml

from partlabel.cli.main import main
from partlabel.core.fixes import Argument, InputError, InputWarning, MissingError, ReaderArgument, typed
from partlabel.data.tables.label_table import LabelTable


@pytest.mark.parametrize(
    ("argument", "python", "option"),
    [
        (Argument("absent", "unknown"), "absent='unknown'", "--absent unknown"),
        (Argument("skip_broken", True), "skip_broken=True", "--skip-broken"),
        (Argument("images", placeholder="FOLDER"), "images=", "--images FOLDER"),
        (ReaderArgument("separator", ";"), "separator=';'", "--format wide_csv --format.separator ';'"),
        (
            ReaderArgument("delimiter", " ", format="long_csv"),
            "format='long_csv', delimiter=' '",
            "--format long_csv --format.delimiter ' '",
        ),
        (
            ReaderArgument("leave_out", ["width", "Unnamed: 0"]),
            "leave_out=['width', 'Unnamed: 0']",
            """--format wide_csv --format.leave_out '[width,"Unnamed: 0"]'""",
        ),
    ],
)
def test_an_argument_is_written_for_python_and_for_the_command_line(argument, python, option):
    error = InputError("say ", argument, ", please")
    error.format = "wide_csv"
    assert str(error) == f"say {python}, please"
    assert typed(error) == f"say {option}, please"


@pytest.mark.parametrize(
    "names",
    [["a"], ["null", "true", "no"], ["a,b", "[x]", "it's", 'a "b"'], ["0", "1.5", "", " a "], ["- x", "ä"]],
)
def test_a_list_that_is_typed_reads_back_as_the_same_names(names):
    option, value = shlex.split(typed(InputError(ReaderArgument("leave_out", names))))
    assert option == "--format.leave_out"
    assert yaml.safe_load(value) == names


def test_text_before_a_message_keeps_its_fix():
    error = InputError("say ", Argument("absent", "unknown")).after("t.csv: ")
    assert str(error) == "t.csv: say absent='unknown'"
    assert typed(error) == "t.csv: say --absent unknown"
    assert isinstance(error, ValueError) and isinstance(MissingError("x"), FileNotFoundError)
    assert str(MissingError("a", Argument("images"))) == "aimages="


def test_the_command_line_shows_options_and_python_shows_arguments(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("image;dog\na.jpg;1\nb.jpg;0\n")
    with pytest.raises(ValueError, match=r"separator=';'"):
        LabelTable.read(tmp_path / "t.csv")
    assert main(["import", str(tmp_path / "t.csv")]) == 2
    assert "--format wide_csv --format.separator ';'" in capsys.readouterr().err
    (tmp_path / "l.csv").write_text("image,labels\na.jpg,dog\n")
    with pytest.raises(ValueError, match=r"absent='unknown' \(not annotated\)"):
        LabelTable.read(tmp_path / "l.csv")
    assert main(["import", str(tmp_path / "l.csv")]) == 2
    assert "--absent unknown (not annotated) or --absent negative" in capsys.readouterr().err


def test_a_warning_is_written_for_the_command_line_too():
    from partlabel.cli import main

    message = InputWarning("say ", ReaderArgument("classes", ["a"]))
    with main._plain_warnings():
        shown = warnings.formatwarning(message, InputWarning, "file.py", 1)
    assert shown == "partlabel: warning: say --format.classes '[a]'\n"
    assert str(message) == "say classes=['a']"


def test_an_option_of_the_reader_works_without_its_name(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("image;dog\na.jpg;1\nb.jpg;0\n")
    assert main(["import", str(tmp_path / "t.csv"), "--format.separator", ";"]) == 0
    assert "read as wide_csv: 2 images, 1 classes" in capsys.readouterr().out
    (tmp_path / "l.csv").write_text("image;labels\na.jpg;dog|cat\n")
    assert main(["import", str(tmp_path / "l.csv"), "--format.separator", ";", "--absent", "unknown"]) == 0
    assert "read as long_csv: 1 images, 2 classes" in capsys.readouterr().out


def test_an_option_without_its_prefix_or_mistyped_is_answered_with_the_right_one(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("image;dog\na.jpg;1\n")
    assert main(["import", str(tmp_path / "t.csv"), "--separator", ";"]) == 2
    assert "there is no option --separator (did you mean '--format.separator'?)" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "t.csv"), "--format.seperator", ";"]) == 2
    assert "there is no option --format.seperator (did you mean 'separator'?)" in capsys.readouterr().err

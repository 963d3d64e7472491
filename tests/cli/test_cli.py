"""The command line: what may be typed, and what is said to whoever mistypes."""

import json
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
import yaml

from partlabel.cli import main as cli
from partlabel.cli.main import main
from partlabel.cli.parser import Parser, UsageError
from partlabel.core import progress_bar
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.hiding import SCHEMES
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.result import Evaluation
from partlabel.training.run_folder import Run
from tiny import TINY_NETWORK


class Kettle:
    """A kettle.

    Args:
        water: Litres.
        target_heat: Degrees.
        loud: Whistles.
    """

    def __init__(self, water: float = 1.0, target_heat: int = 95, loud: bool = False) -> None: ...


class Pot:
    """A pot.

    Args:
        handles: How many.
    """

    def __init__(self, handles: int = 2) -> None: ...


def vessel(name):
    if name not in ("kettle", "pot"):
        raise ValueError(f"there is no vessel {name!r}")
    return {"kettle": Kettle, "pot": Pot}[name]


def brew(
    leaves: str,
    brew_minutes: int = 4,
    milk: bool = False,
    sizes: tuple[int, int] = (1, 2),
    lid: Literal["on", "off"] = "on",
    sugar: int | Literal["none"] = 0,
):
    """Brew tea.

    Args:
        leaves: Which.
        brew_minutes: How long.
        milk: Whether.
        sizes: Of cups.
        lid: On while it draws.
        sugar: Lumps.
    """


def parse(*argv):
    parser = Parser("tea brew", argv, "Brew tea.", config=True)
    parser.add(brew, positional=True)
    parser.add_choice("vessel", vessel, default="kettle", help="What to boil in.")
    return parser.parse()


def refused(*argv):
    with pytest.raises(UsageError) as error:
        parse(*argv)
    return str(error.value)


def test_options_have_the_defaults_of_the_signature():
    assert parse("assam") == {
        "leaves": "assam",
        "brew_minutes": 4,
        "milk": False,
        "sizes": (1, 2),
        "lid": "on",
        "sugar": 0,
        "vessel": {"name": "kettle", "water": 1.0, "target_heat": 95, "loud": False},
    }


@pytest.mark.parametrize("option", ["--brew-minutes", "--brew_minutes"])
def test_hyphens_and_underscores_are_the_same(option):
    assert parse("assam", option, "7")["brew_minutes"] == 7
    assert parse("assam", f"{option}=7")["brew_minutes"] == 7


def test_the_help_shows_hyphens_and_the_options_of_what_was_chosen(capsys):
    with pytest.raises(SystemExit):
        parse("--vessel", "pot", "--help")
    shown = capsys.readouterr().out
    assert "--brew-minutes" in shown
    assert "--brew_minutes" not in shown
    assert "--vessel NAME" in shown
    assert "--vessel.handles" in shown
    assert "--vessel.water" not in shown
    assert "<class" not in shown


@pytest.mark.parametrize(("words", "milk"), [([], False), (["--milk"], True), (["--milk", "false"], False)])
def test_a_flag_needs_no_value_but_may_have_one(words, milk):
    assert parse("assam", *words)["milk"] is milk
    assert parse(*words, "assam")["milk"] is milk
    assert parse("assam", *words, "--brew-minutes", "3")["milk"] is milk


def test_a_choice_brings_its_own_options():
    assert parse("assam", "--vessel", "pot", "--vessel.handles", "1")["vessel"] == {
        "name": "pot",
        "handles": 1,
    }
    assert parse("assam", "--vessel=kettle", "--vessel.target-heat=80")["vessel"]["target_heat"] == 80


def test_a_typo_names_the_nearest_option():
    assert "--brew-minuts (did you mean '--brew-minutes'?)" in refused("assam", "--brew-minuts", "3")
    assert "(did you mean '--vessel.target_heat'?)" in refused("assam", "--vessel.target_haet", "3")
    assert "there is no vessel 'cup'" in refused("assam", "--vessel", "cup")


def test_an_option_of_another_choice_is_refused():
    assert "there is no option --vessel.handles" in refused("assam", "--vessel.handles", "3")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--brew-minutes", "long"], "--brew-minutes: expected int, got long"),
        (["--vessel.target_heat", "hot"], "--vessel.target_heat: expected int, got hot"),
        (["--lid", "ajar"], "--lid: expected 'on', 'off', got ajar"),
        (["--sugar", "much"], "--sugar: expected int, 'none', got much"),
        (["--brew-minutes"], "--brew-minutes: expected one argument"),
        (["green"], "unrecognized arguments: green"),
    ],
)
def test_a_wrong_value_names_option_type_and_value(typed, said):
    assert refused("assam", *typed) == f"{said} (all options: tea brew --help)"


def test_a_missing_argument_is_named():
    assert "missing: leaves" in refused()
    assert "tea brew --help" in refused()


def test_a_configuration_file_says_the_same_as_the_command_line(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("leaves: assam\nbrew-minutes: 3\nvessel: pot\n")
    assert parse("--config", str(file)) == parse("assam", "--brew-minutes", "3", "--vessel", "pot")
    file.write_text("leaves: assam\nmilk: true\nvessel: {name: kettle, water: 5e-1}\n")
    assert parse(f"--config={file}") == parse("assam", "--milk", "--vessel.water", "0.5")


def test_what_is_typed_wins_over_the_file_wherever_it_stands(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("brew_minutes: 3\nvessel: {name: pot, handles: 1}\n")
    for argv in [
        ("--brew-minutes", "5", "--config", str(file)),
        ("--config", str(file), "--brew-minutes", "5"),
    ]:
        assert parse("assam", *argv)["brew_minutes"] == 5
    assert parse("assam", "--config", str(file), "--vessel.handles", "4")["vessel"]["handles"] == 4


def test_another_choice_than_the_files_leaves_the_files_options_out(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("vessel: {name: pot, handles: 1}\n")
    assert parse("assam", "--config", str(file), "--vessel", "kettle")["vessel"]["name"] == "kettle"


def test_a_later_file_wins_over_an_earlier_one(tmp_path):
    (tmp_path / "a.yaml").write_text("brew_minutes: 3\nmilk: true\nvessel: {name: pot, handles: 1}\n")
    (tmp_path / "b.yaml").write_text("brew_minutes: 6\nvessel: kettle\n")
    both = parse("assam", "--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml"))
    assert (both["brew_minutes"], both["milk"], both["vessel"]["name"]) == (6, True, "kettle")


def test_an_unknown_key_in_a_file_names_file_and_nearest_key(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("brew_minuets: 3\n")
    assert f"{file}: there is no option 'brew_minuets' (did you mean 'brew_minutes'?)" in refused(
        "--config", str(file)
    )
    file.write_text("vessel: {target_haet: 3}\n")
    assert "(did you mean 'vessel.target_heat'?)" in refused("--config", str(file))


def test_a_file_that_is_not_a_mapping_is_refused(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("- 1\n")
    assert "has to map options to values" in refused("--config", str(file))
    file.write_text("a: [1\n")
    assert f"{file} is not YAML" in refused("--config", str(file))


def test_a_file_or_recipe_that_is_not_there_is_named():
    assert "--config sst-cocoo: there is no such file and no such recipe" in refused(
        "assam", "--config", "sst-cocoo"
    )


def test_the_printed_configuration_can_be_fed_back(tmp_path, capsys):
    typed = ["assam", "--milk", "--sizes", "[3,4]", "--vessel", "pot", "--vessel.handles", "7"]
    with pytest.raises(SystemExit) as done:
        parse(*typed, "--print-config")
    assert not done.value.code
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["vessel"] == {"name": "pot", "handles": 7}
    file = tmp_path / "a.yaml"
    file.write_text(printed)
    assert parse("--config", str(file)) == parse(*typed)


def run(*argv, **how):
    return subprocess.run([sys.executable, "-m", "partlabel", *argv], capture_output=True, text=True, **how)


def test_the_help_is_quick_and_names_the_command_of_every_file_in_its_group():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        shown = run("--help").stdout
        seconds.append(time.perf_counter() - start)
    files = Path(cli.__file__).parent.glob("commands/[!_]*.py")
    verbs = {file.stem.strip("_").replace("_", "-") for file in files}
    parts = [part.split("\n") for part in re.findall(r"(?:^\w+: .*\n)(?:^  .*\n)+", shown, re.MULTILINE)]
    assert [part[0].partition(":")[0] for part in parts] == ["Prepare", "Learn", "Judge", "Use"]
    assert {line.split()[0] for part in parts for line in part if re.match("  [a-z]", line)} == verbs
    assert min(seconds) < 1.0  # 0.2 s on an idle machine; the imports below are what must not creep in


def test_the_help_imports_nothing_heavy():
    script = (
        "import sys; from partlabel.cli.main import main; main(['--help']); "
        "print('loaded:', *{'torch', 'numpy', 'polars', 'lightning', 'timm', 'rich'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    assert shown.splitlines()[-1].strip() == "loaded:"


HEAVY = ("torch", "torchvision", "lightning", "timm", "sklearn", "scipy", "matplotlib")


@pytest.mark.parametrize(
    "words",
    [
        ["import", "labels.csv", "--out", "{}/table.parquet"],
        ["inspect", "labels.csv"],
        ["inspect", "labels.csv", "--images", "photos"],
        ["hide", "labels.csv", "--known", "0.5", "--out", "{}/hidden.csv"],
    ],
    ids=["import", "inspect", "inspect images", "hide"],
)
def test_verbs_on_tables_load_no_network(collection, tmp_path, words):
    code = (
        f"import sys; from partlabel.cli.main import main; code = main({[word.format(tmp_path) for word in words]})\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=collection, capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1] == "0 []", ran.stderr


def test_a_warning_is_printed_once_however_often_it_is_raised():
    with cli._plain_warnings():
        printed = [
            warnings.formatwarning(UserWarning(f"odd {number}"), UserWarning, "file.py", line)
            for line, number in enumerate((1, 1, 2, 1))
        ]
    assert printed == ["partlabel: warning: odd 1\n", "", "partlabel: warning: odd 2\n", ""]


def test_quiet_is_asked_for_by_an_option_or_the_environment(monkeypatch):
    def look():
        """Look."""
        seen.append(progress_bar.quiet())

    seen = []
    monkeypatch.setitem(cli.VERBS, "methods", look)
    monkeypatch.delenv("PARTLABEL_QUIET")
    assert main(["methods"]) == 0 and main(["methods", "--quiet"]) == 0 and not progress_bar.quiet()
    monkeypatch.setenv("PARTLABEL_QUIET", "1")
    assert main(["--quiet", "methods"]) == 0 and progress_bar.quiet()
    assert seen == [False, True, True]


def test_inspect_counts_each_part_of_the_split(collection, capsys):
    table = LabelTable.read(collection / "labels.csv")
    assert main(["inspect", str(collection / "labels.csv")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name in ("train", "test"):
        part = table.part(name)
        whole = int((part.labels != UNKNOWN).all(axis=1).sum())
        expected = [str(n) for n in (len(part), part.present, part.absent, part.unknown, whole)]
        assert [name, *expected] in lines
    assert ["part", "images", "present", "absent", "unknown", "fully", "labelled"] in lines


def test_an_error_is_one_message_without_traceback(capsys):
    assert main(["hide", "nowhere.csv", "--known", "0.5"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("partlabel: ")
    assert "nowhere.csv" in shown
    assert "Traceback" not in shown


def test_debug_gives_the_traceback(monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        main(["hide", "nowhere.csv", "--known", "0.5", "--debug"])
    monkeypatch.setenv("PARTLABEL_DEBUG", "1")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        main(["hide", "nowhere.csv", "--known", "0.5"])


def test_a_mistyped_verb_names_the_nearest(capsys):
    assert main(["trian"]) == 2
    assert "(did you mean 'train'?)" in capsys.readouterr().err


def test_hide_keeps_a_share_and_sets_the_truth_aside(collection, tmp_path, capsys):
    out, truth = tmp_path / "hidden.csv", tmp_path / "truth.csv"
    argv = ["hide", str(collection / "labels.csv"), "--known", "0.5", "--part", "train", "--out", str(out)]
    assert main([*argv, "--truth", str(truth)]) == 0
    whole, hidden = LabelTable.read(collection / "labels.csv"), LabelTable.read(out)
    assert hidden.part("test").known == whole.part("test").known
    expected = whole.hide("uniform", known=0.5, part="train", seed=0)
    assert (hidden.labels == expected.labels).all()
    assert 0 < hidden.part("train").known < whole.part("train").known
    assert (LabelTable.read(truth).labels == whole.labels).all()
    assert f"{hidden.known} of {whole.known} known labels kept" in capsys.readouterr().out


def test_hide_takes_the_options_of_its_scheme(collection, tmp_path, capsys):
    out = tmp_path / "hidden.csv"
    table = str(collection / "labels.csv")
    assert main(["hide", table, "--scheme", "positives_only", "--out", str(out)]) == 0
    assert LabelTable.read(out).absent == 0
    assert main(["hide", table, "--scheme", "positives_only", "--known", "0.5"]) == 2
    assert main(["hide", table, "--scheme", "unifrom", "--known", "0.5"]) == 2
    assert "(did you mean 'uniform'?)" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_can_be_named_on_the_command_line(scheme, collection, tmp_path):
    """No argument of a scheme may have the name of an option of `hide` itself, such as `absent`."""
    classes = len(LabelTable.read(collection / "labels.csv").classes)
    options = {
        "per_class": ["--rates", str([0.5] * classes)],
        "single_positive": [],
        "positives_only": [],
        "editor": ["--known-present", "1", "--known-absent", "0"],
    }
    out = tmp_path / "hidden.csv"
    typed = ["hide", str(collection / "labels.csv"), "--scheme", scheme, "--out", str(out)]
    assert main([*typed, *options.get(scheme, ["--known", "0.5"])]) == 0
    if scheme == "editor":
        assert LabelTable.read(out).absent == 0 < LabelTable.read(out).present


TINY = [*TINY_NETWORK, "--epochs", "2", "--batch-size", "8", "--weight-decay", "0.02"]
SMALL_HEAD = ["--head", "ssgrl", "--head.dim", "16", "--head.attention_dim", "8", "--head.output_dim", "16"]


@pytest.fixture(scope="module")
def trained(collection, tmp_path_factory):
    """A run of SST on the collection, half of what is known hidden."""
    out = tmp_path_factory.mktemp("cli") / "run"
    source = [str(collection / "labels.csv"), "--images", str(collection / "photos")]
    options = [
        "--method",
        "sst",
        "--method.start_epoch",
        "1",
        "--method.pair_dim",
        "8",
        "--known",
        "0.5",
        *SMALL_HEAD,
        *TINY,
    ]
    assert main(["train", *source, *options, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_train_leaves_model_table_and_report(trained, collection):
    for name in ("config.json", "model.safetensors", "labels.parquet", "history.json", "report.html"):
        assert (trained / name).is_file(), name
    used, whole = LabelTable.read(trained / "labels.parquet"), LabelTable.read(collection / "labels.csv")
    hidden = whole.hide("uniform", known=0.5, part="train", seed=0)
    assert used.known == hidden.known < whole.known


@pytest.mark.slow
def test_train_measures_its_pseudo_labels_against_what_it_hid(trained):
    assert "precision" in (trained / "history.json").read_text()


@pytest.mark.slow
def test_train_does_not_write_over_a_run(trained, collection, capsys):
    source = [str(collection / "labels.csv"), "--images", str(collection / "photos")]
    assert main(["train", *source, *TINY, "--out", str(trained)]) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_says_what_was_scored_and_writes_it_down(trained, collection, tmp_path, capsys):
    assert main(["evaluate", str(trained)]) == 0
    shown = capsys.readouterr().out
    evaluation = Evaluation.load(trained / "evaluation.json")
    assert evaluation.images == 8
    assert "mAP" in shown
    assert f"{evaluation.known} known cells" in " ".join(shown.split())
    source = [str(collection / "labels.csv"), "--images", str(collection / "photos")]
    samples = ["--fiftyone", str(tmp_path / "samples.json")]
    assert main(["evaluate", str(trained), *source, "--split", "train", *samples]) == 0
    assert len(json.loads((tmp_path / "samples.json").read_text())["samples"]) == 24
    assert Evaluation.load(trained / "evaluation.json").images == 24


@pytest.mark.slow
def test_evaluate_names_the_parts_there_are(trained, capsys):
    assert main(["evaluate", str(trained), "--split", "tset"]) == 2
    assert "(did you mean 'test'?)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "read"), [(".csv", pl.read_csv), (".parquet", pl.read_parquet), (".jsonl", pl.read_ndjson)]
)
def test_predict_writes_a_probability_for_every_class(trained, collection, tmp_path, suffix, read, capsys):
    out = tmp_path / f"predictions{suffix}"
    assert main(["predict", str(trained), str(collection / "photos"), "--out", str(out)]) == 0
    found = read(out)
    assert found.columns == ["image", "red", "green", "blue", "yellow"]
    assert found.height == 32
    assert found.drop("image").to_numpy().min() >= 0
    assert found.drop("image").to_numpy().max() <= 1
    assert "32 photos" in capsys.readouterr().out


@pytest.mark.slow
def test_predict_takes_a_folder_a_list_or_a_table(trained, collection, tmp_path):
    photos = tmp_path / "photos.txt"
    photos.write_text("\n".join(str(collection / "photos" / name) for name in ("03.png", "01.png")) + "\n\n")
    table = tmp_path / "photos.csv"
    table.write_text("image\n03.png\n01.png\n")
    found = []
    sources = [
        [str(photos)],
        [str(table), "--images", str(collection / "photos")],
        [str(collection / "photos")],
    ]
    for number, source in enumerate(sources):
        out = tmp_path / f"{number}.parquet"
        assert main(["predict", str(trained), *source, "--out", str(out)]) == 0
        found.append(pl.read_parquet(out).with_columns(pl.col("image").str.split("/").list.last()))
    assert found[0]["image"].to_list() == ["03.png", "01.png"]
    every = {row["image"]: row for row in found[2].iter_rows(named=True)}
    for part in found[:2]:
        for row in part.iter_rows(named=True):
            assert row["red"] == pytest.approx(every[row["image"]]["red"], abs=1e-5)


@pytest.mark.slow
def test_predict_refuses_a_suffix_it_cannot_write(trained, collection, capsys):
    assert main(["predict", str(trained), str(collection / "photos"), "--out", "predictions.xlsx"]) == 2
    assert ".csv, .parquet, .jsonl" in capsys.readouterr().err


@pytest.mark.slow
def test_fill_leaves_known_cells_alone_and_says_who_filled(trained, collection, tmp_path, capsys):
    out = tmp_path / "filled.csv"
    source = [str(collection / "labels.csv"), "--images", str(collection / "photos")]
    assert main(["fill", str(trained), *source, "--accept", "0.6", "--reject", "0.4", "--out", str(out)]) == 0
    before, filled = LabelTable.read(collection / "labels.csv"), FilledTable.load(out)
    known = before.labels != UNKNOWN
    assert (filled.table.labels[known] == before.labels[known]).all()
    assert not np.isnan(filled.probability[~known]).any()
    sure = filled.probability >= 0.6
    assert (filled.table.labels[~known & sure] == PRESENT).all()
    assert (filled.table.labels[~known & (filled.probability <= 0.4)] == ABSENT).all()
    row, column = np.argwhere(~known)[0].tolist()
    assert filled.source_of(row, column).endswith("run")
    shown = capsys.readouterr().out
    assert f"{before.unknown} unknown labels" in shown


@pytest.mark.slow
def test_fill_takes_the_runs_own_table(trained, tmp_path):
    out = tmp_path / "filled.parquet"
    assert main(["fill", str(trained), "--out", str(out)]) == 0
    own = LabelTable.read(trained / "labels.parquet")
    assert (FilledTable.load(out).table.labels == own.labels).all()  # no thresholds: probabilities alone


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])  # Lightning makes the one into the other
@pytest.mark.parametrize(("epochs", "said"), [(0, "--resume starts over"), (1, "--resume continues")])
def test_an_interrupted_run_says_how_to_go_on(collection, tmp_path, monkeypatch, capsys, stop, epochs, said):
    def interrupted(self, table, *, out, **options):
        if epochs:
            Run(out).last.parent.mkdir(parents=True)
            Run(out).last.touch()
        raise stop

    monkeypatch.setattr("partlabel.tagger.Tagger.__init__", lambda *args, **options: None)
    monkeypatch.setattr("partlabel.tagger.Tagger.fit", interrupted)
    source = [str(collection / "labels.csv"), "--images", str(collection / "photos")]
    assert main(["train", *source, "--out", str(tmp_path / "run")]) == 130
    shown = capsys.readouterr().err
    assert said in shown
    assert str(tmp_path / "run") in shown

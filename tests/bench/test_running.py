"""Benchmarks run: resumed where they stopped, tuned on validation, scored on the test part, and no more than that."""

import json
import re
import shutil
import subprocess
import sys
import time
import types
import weakref
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from drawings import COLOURS, draw_photos
from dying import kill_oneself
from partlabel.bench import cell, grid_file, runner
from partlabel.cli import main
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.run_folder import digest

GRID = {
    "arms": {
        "plain": {"method": "bce", "head": "average", "pool": 2},
        "negative": {"method": "assume_negative", "head": "average", "pool": 2},
        "late": {"method": "bce", "head": "average", "pool": 2, "tuned_as": "plain"},
    },
    "known": [0.6], "seeds": [0, 1], "training": {"epochs": 1, "batch_size": 12},
    "search": {"weight_decay": [0.01, 0.5]}, "image_size": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """48 drawings, all labels known, 36 to train and 12 to test."""
    folder = tmp_path_factory.mktemp("bench")
    labels = draw_photos(folder / "photos", 48)
    names = tuple(sorted(path.name for path in (folder / "photos").iterdir()))
    split = ("train",) * 36 + ("test",) * 12
    LabelTable(names, tuple(COLOURS), labels.astype(np.int8), split, folder / "photos").save(
        folder / "labels.csv"
    )
    return folder


@pytest.fixture(scope="module")
def table(photos):
    return LabelTable.read(photos / "labels.csv", photos / "photos")


def go(content, table, photos, out, **more):
    made = grid_file.parse(content)
    faults = [
        fault for _, fault in runner.run_grid(made, table, out, cache_dir=str(photos / "cache"), **more)
    ]
    return faults, runner.Folder(out).gather(runner.cells(made, digest(table)))


@pytest.fixture(scope="module")
def done(photos, table, tmp_path_factory):
    """Run a grid; return its folder, its errors and its results."""
    folder = tmp_path_factory.mktemp("done")
    return folder, *go(GRID, table, photos, folder)


def test_every_cell_is_run_once_and_never_again(photos, table, done, monkeypatch):
    folder, faults, first = done
    assert faults == [None, None]
    assert first.select("arm", "seed").rows() == [
        ("plain", 0), ("plain", 1), ("late", 0), ("late", 1), ("negative", 0), ("negative", 1),
    ]  # fmt: skip
    ran = []
    original = cell.run_cell
    monkeypatch.setattr(cell, "run_cell", lambda *given: ran.append(given[2].seed) or original(*given))
    assert go(GRID, table, photos, folder)[1].equals(first)
    assert ran == []
    _, more = go(GRID | {"seeds": [0, 1, 7]}, table, photos, folder)
    assert ran == [7, 7, 7]
    assert len(more) == 9


def test_the_search_is_with_the_first_seed_and_holds_for_the_others_and_for_who_is_tuned_alike(done):
    found = done[2]
    tries = [json.loads(each) for each in found["tries"]]
    assert [len(each) for each in tries] == [2, 1, 1, 1, 2, 1]
    best = min(tries[0], key=lambda tried: tried["cost"])["weight_decay"]
    assert [json.loads(each)["weight_decay"] for each in found["found"][:4]] == [best] * 4


def test_another_search_runs_those_anew_that_take_what_it_finds(photos, table, tmp_path):
    """The arm that is tuned keeps results of both searches; the other one's are of the search that is asked for."""
    arms = {name: GRID["arms"][name] for name in ("plain", "late")}
    for decay in (0.01, 0.5, 0.01):
        small = GRID | {"arms": arms, "seeds": [0], "search": {"weight_decay": [decay]}}
        found = go(small, table, photos, tmp_path)[1]["found"]
        assert [json.loads(each)["weight_decay"] for each in found] == [decay, decay]


def test_what_was_made_with_settings_of_another_search_is_not_gathered(photos, table, tmp_path):
    arms = {name: GRID["arms"][name] for name in ("plain", "late")}
    small = GRID | {"arms": arms, "seeds": [0]}
    for decay in (0.01, 0.5):
        go(small | {"search": {"weight_decay": [decay]}}, table, photos, tmp_path)
    again = grid_file.parse(small | {"search": {"weight_decay": [0.01]}})
    left = runner.Folder(tmp_path).gather(runner.cells(again, digest(table)))
    assert left.select("arm", "found").rows() == [("plain", '{"weight_decay": 0.01}')], "late is of 0.5"


def fake_row(monkeypatch):
    """Runs that take no time."""
    row = {"arm": "plain", "seed": 0, "known": 0.6, "found": {}, "map": 0.5}
    monkeypatch.setattr(cell, "run_cell", lambda *_: row)
    monkeypatch.setattr(cell, "backbone_of", lambda *_: None)
    monkeypatch.setattr(cell, "features_of", lambda *_: None)


def test_other_photos_of_the_same_names_are_refused_by_the_folder_of_the_results(
    photos, table, tmp_path, monkeypatch
):
    fake_row(monkeypatch)
    out = tmp_path / "out"
    go(GRID, table, photos, out)
    key = runner.Folder(out).contents.read_text()
    copy, other = tmp_path / "copy", tmp_path / "other"
    for folder in (copy, other):
        shutil.copytree(photos / "photos", folder)
    go(GRID, LabelTable(table.images, table.classes, table.labels, table.split, copy), photos, out)
    assert runner.Folder(out).contents.read_text() == key, "a copy is the same"
    draw_photos(other, 48, seed=1)
    moved = LabelTable(table.images, table.classes, table.labels, table.split, other)
    with pytest.raises(
        ValueError, match=r"out holds results of different photos of table \w+ .*give another out \(--out\)"
    ):
        go(GRID, moved, photos, out)
    assert go(GRID, moved, photos, tmp_path / "elsewhere")[0] == [None, None]


def test_other_class_vectors_in_the_same_file_are_refused(photos, table, tmp_path, monkeypatch):
    fake_row(monkeypatch)
    file = tmp_path / "words.txt"
    content = GRID | {"arms": {"plain": GRID["arms"]["plain"] | {"words": str(file)}}}
    assert runner._word_files(grid_file.parse(content)) == {}, "its arm fails, and no other"
    for said, refused in (("red 1 0", False), ("red 1 0", False), ("red 0 1", True)):
        file.write_text(said)
        with (
            pytest.raises(ValueError, match=r"different class vectors of .*words\.txt")
            if refused
            else nullcontext()
        ):
            go(content, table, photos, tmp_path / "out")


def test_of_the_methods_that_are_tried_the_best_is_alive_and_each_has_its_own_peak(table, monkeypatch):
    costs, peaks, alive, events = iter([3.0, 1.0, 2.0, 1.0]), iter([10.0, 40.0, 20.0, 5.0]), [], []
    made = weakref.WeakSet()

    def train(*_):
        alive.append(len(made))
        method = torch.nn.Linear(1, 1)
        method.trainer = types.SimpleNamespace(method=method)  # as a learner and its trainer know each other
        made.add(method)
        return cell.Trained(next(costs), method, [{"epoch": len(alive)}], 1.0)

    def scores(data, given, hidden, method):
        return {"scored": method is not None}

    forget = cell._forget_peak
    monkeypatch.setattr(cell, "train_cell", train)
    monkeypatch.setattr(cell, "_scores", scores)
    monkeypatch.setattr(cell, "_forget_peak", lambda: (events.append("forget"), forget()))
    monkeypatch.setattr(cell, "_peak_mb", lambda: events.append("peak") or next(peaks))
    made_of = grid_file.parse(GRID | {"search": {"weight_decay": [0.1, 0.2, 0.3, 0.4]}})
    first = runner.of_job(made_of, next(made_of.jobs()), digest(table))[0]
    row = cell.run_cell(cell.Data.of(table), cell.PartFeatures(None, [], []), first, None)
    assert alive == [0, 1, 1, 1] and events == ["forget", "peak"] * 4
    assert row["found"] == {"weight_decay": 0.2} and row["history"] == [{"epoch": 2}], "of equals the first"
    assert row["peak_mb"] == 40.0 and row["seconds"] == 1.0
    assert [tried["cost"] for tried in row["tries"]] == [3.0, 1.0, 2.0, 1.0]


def test_settings_that_come_to_no_number_are_not_chosen_and_others_are(table, monkeypatch):
    costs = iter([FloatingPointError("step 3: bce is nan"), float("nan"), 2.0, 3.0])
    tried = []

    def train(data, given, each, hidden, settings):
        tried.append(settings["weight_decay"])
        cost = next(costs)
        if isinstance(cost, Exception):
            raise cost
        return cell.Trained(cost, torch.nn.Linear(1, 1), [], 1.0)

    monkeypatch.setattr(cell, "train_cell", train)
    monkeypatch.setattr(cell, "_scores", lambda *_: {})
    made_of = grid_file.parse(GRID | {"search": {"weight_decay": [0.1, 0.2, 0.3, 0.4]}})
    first = runner.of_job(made_of, next(made_of.jobs()), digest(table))[0]
    row = cell.run_cell(cell.Data.of(table), cell.PartFeatures(None, [], []), first, None)
    assert tried == [0.1, 0.2, 0.3, 0.4] and row["found"] == {"weight_decay": 0.3}
    costs = iter([FloatingPointError("step 3: bce is nan")])
    with pytest.raises(FloatingPointError, match="bce is nan"):
        cell.run_cell(cell.Data.of(table), cell.PartFeatures(None, [], []), first, {"weight_decay": 0.1})


def test_several_processes_in_another_folder_come_to_what_one_does(photos, table, done, tmp_path):
    columns = ("arm", "seed", "map", "found", "known_share")
    two = go(GRID, table, photos, tmp_path, processes=2)[1].select(columns)
    assert two.equals(done[2].select(columns))


def test_test_labels_change_scores_and_nothing_that_is_chosen(photos, table, done, tmp_path):
    labels = np.array(table.labels)
    labels[36:] = 1 - labels[36:]
    other = LabelTable(table.images, table.classes, labels, table.split, table.root)
    small = GRID | {"arms": {"plain": GRID["arms"]["plain"]}, "seeds": [0]}
    ours, theirs = done[2][:1], go(small, other, photos, tmp_path)[1]
    assert ours["tries"].to_list() == theirs["tries"].to_list()
    assert ours["map"].to_list() != theirs["map"].to_list()


def test_a_method_that_fails_leaves_the_others_alone(photos, table, tmp_path):
    arms = {"broken": {"method": "sst", "head": "average", "pool": 2}, "plain": GRID["arms"]["plain"]}
    faults, found = go(GRID | {"arms": arms, "seeds": [0]}, table, photos, tmp_path)
    assert "broken, uniform, seed 0: SST compares features of classes" in faults[0]
    assert faults[1] is None
    assert found["arm"].to_list() == ["plain"]


def test_an_arm_that_fails_is_left_and_those_tuned_alike_go_on(photos, table, tmp_path, monkeypatch):
    arms = {"plain": {}, "wrong": {"tuned_as": "plain"}, "late": {"tuned_as": "plain"}}
    content = GRID | {"arms": {name: {"method": "bce", "pool": 2} | said for name, said in arms.items()}}
    ran = []

    def run(data, features, each, found):
        ran.append((each.arm.name, each.seed))
        if each.arm.name == failing:
            raise RuntimeError("no such shape")
        return {"arm": each.arm.name, "found": found or {"weight_decay": 0.01}}

    monkeypatch.setattr(cell, "run_cell", run)
    failing = "wrong"
    assert go(content, table, photos, tmp_path / "one")[0] == ["wrong, uniform, seed 0: no such shape"]
    assert ran == [("plain", 0), ("plain", 1), ("wrong", 0), ("late", 0), ("late", 1)]
    failing = "plain"
    ran.clear()
    assert go(content, table, photos, tmp_path / "two")[0] == ["plain, uniform, seed 0: no such shape"]
    assert ran == [("plain", 0)], "the others wait for what it finds"


def test_a_process_that_is_killed_is_said_with_the_way_to_go_on(photos, table, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "run_job", kill_oneself)
    with pytest.raises(
        OSError, match=r"was killed.*finished results are kept; run the same .* fewer --processes"
    ):
        go(GRID, table, photos, tmp_path, processes=2)


def test_results_say_by_what_code_they_were_made(done, monkeypatch, tmp_path):
    _, _, found = done
    assert found["versions"].n_unique() == 1
    source = json.loads(found["versions"][0])["source"]
    assert source == runner._source()
    package = tmp_path / "package"
    (package / "bench").mkdir(parents=True)
    monkeypatch.setattr(runner, "__file__", str(package / "bench" / "running.py"))
    (package / "a.py").write_text("1")
    before = runner._source()
    (package / "a.py").write_text("2")
    assert runner._source() not in (before, source)


@pytest.mark.parametrize(
    ("error", "said"), [(RuntimeError("no such shape"), "no such shape"), (KeyError(), "KeyError")]
)
def test_whatever_a_method_fails_with_is_said_of_its_job(photos, table, tmp_path, monkeypatch, error, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(cell, "run_cell", fail)
    assert go(GRID, table, photos, tmp_path)[0] == [
        f"plain, uniform, seed 0: {said}", f"negative, uniform, seed 0: {said}",
    ]  # fmt: skip


def test_features_of_every_arm_are_there_before_processes_want_them(photos, table, tmp_path, monkeypatch):
    arms = GRID["arms"] | {"late": GRID["arms"]["late"] | {"pool": 1}}
    made, computed = [], []
    monkeypatch.setattr(cell, "backbone_of", lambda data, grid, view: made.append(view) or view)
    monkeypatch.setattr(cell, "features_of", lambda data, grid, backbone: computed.append(backbone))
    monkeypatch.setattr(runner, "run_job", lambda *_: None)
    go(GRID | {"arms": arms}, table, photos, tmp_path)
    assert made == computed == [(2, 0), (1, 0)], "each once, however many jobs and arms want it"


def test_choosing_does_not_hang_on_how_sure_scores_are():
    random = np.random.default_rng(0)
    labels = (random.random((200, 3)) < 0.3).astype(np.int8)
    scores = (2 * labels - 1 + random.normal(size=labels.shape)).astype(np.float32)
    assert cell.cost(scores, labels) == pytest.approx(cell.cost(3 * scores - 4, labels), rel=0.05)
    assert cell.cost(scores, labels) < cell.cost(random.permutation(scores), labels)
    hidden = np.where(random.random(labels.shape) < 0.5, labels, np.int8(-1))
    assert cell.cost(np.where(hidden == -1, 99, scores).astype(np.float32), hidden) > 0


def test_a_head_starts_where_present_labels_alone_put_it(photos, table):
    """At the share of images that show a class, and not at certainty."""
    made = grid_file.parse(GRID)
    data = cell.Data.of(table, str(photos / "cache"))
    train = data.train.hide("positives_only")
    given = cell.features_of(data, made, cell.backbone_of(data, made, cell.view_of(made.arms[0])))
    method = cell._build(given, made.arms[0], train, made.config(made.arms[0], 0, {}))
    share = (train.labels == 1).mean(0)
    np.testing.assert_allclose(method.head.linear.bias.sigmoid().detach(), share, atol=2e-3)


def test_a_table_without_a_test_part_is_refused(photos, table, tmp_path):
    with pytest.raises(
        ValueError,
        match="no part 'test', and a benchmark needs 'train' and 'test': create them with partlabel split",
    ):
        go(GRID, table.part("train"), photos, tmp_path)


def _children(process):
    """Processes that it started."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True
    ).stdout
    return [int(word) for word in found.split()]


def _alive(process):
    """Return whether a process exists and is no zombie."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_where_it_stopped(photos, table, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text(json.dumps(GRID | {"seeds": [0, 1, 2, 3], "search": {"weight_decay": [0.01]}}))
    said = ["bench", str(photos / "labels.csv"), "--images", str(photos / "photos"), "--grid", str(grid)]
    said += [
        "--methods",
        "plain,negative",
        "--cache-dir",
        str(photos / "cache"),
        "--out",
        str(tmp_path / "out"),
    ]
    command = [sys.executable, "-m", "partlabel", *said, "--processes", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    cells = tmp_path / "out" / "cells"
    until = time.monotonic() + 120
    while len(list(cells.glob("*.json")) if cells.exists() else []) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = _children(process.pid)
    process.kill()
    process.wait()
    until = time.monotonic() + 30
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert workers, "it had workers"
    assert not any(map(_alive, workers)), "which end with it"
    before = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    assert len(before) in range(2, 8)
    assert main.main(said) == 0
    assert len(pl.read_parquet(tmp_path / "out" / "results.parquet")) == 8
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_verb_prints_the_table_and_leaves_pages(photos, tmp_path, capsys):
    file = tmp_path / "grid.yaml"
    file.write_text(json.dumps(GRID))
    out = tmp_path / "out"
    said = ["bench", str(photos / "labels.csv"), "--images", str(photos / "photos"), "--grid", str(file)]
    said += ["--methods", "late", "--seeds", "0", "--cache-dir", str(photos / "cache"), "--out", str(out)]
    assert main.main(said) == 0
    printed = capsys.readouterr().out
    assert "plain, late (uniform, 60 % known): done" in printed
    assert "2 results in" in printed
    assert "gain over `plain`" in (out / "results.md").read_text()
    assert (out / "results.html").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "bce,hil"], "there is no module|no method|did you mean 'hill'"),
        (["--known", "half"], "--known half: give numbers separated by commas, such as 0.1,0.5"),
        (["--baseline", "bcc"], "--baseline bcc: there is no such arm \\(did you mean 'bce'\\?\\)"),
    ],
)
def test_mistakes_of_the_verb_are_named(photos, tmp_path, capsys, options, message):
    out = ["--cache-dir", str(photos / "cache"), "--out", str(tmp_path)]
    assert (
        main.main(["bench", str(photos / "labels.csv"), "--images", str(photos / "photos"), *options, *out])
        == 2
    )
    assert re.search(message, capsys.readouterr().err)


def test_an_arm_is_fine_tuned_after_training_where_its_logits_come_out_of_a_linear_layer(
    photos, table, tmp_path
):
    mean = {"method": "bce", "head": "average", "pool": 2}
    options = {"epochs": 40, "lr": 0.05, "fewest": 1}
    arms = {
        "plain": mean,
        "after": mean | {"fine_tuned": options},
        "refused": {"method": "bce", "head": "residual", "pool": 2, "fine_tuned": {}},
    }
    content = GRID | {"arms": arms, "seeds": [0], "search": {"weight_decay": [0.01]}}
    faults, results = go(content, table, photos, tmp_path)
    assert [fault for fault in faults if fault] == [
        "refused, uniform, seed 0: the logits of the head Residual are not the output of a linear layer; those of "
        "'average', 'max', 'covariance' and 'ssgrl' are"
    ]
    plain, after = (results.filter(pl.col("arm") == name) for name in ("plain", "after"))
    assert plain["history"].item() == after["history"].item() and plain["map"].item() != after["map"].item()


def test_a_method_that_steps_do_not_fit_is_refused_by_the_name_of_its_arm(table, photos, tmp_path):
    faults, found = go(
        {**GRID, "arms": {"texts": {"method": "evidence", "head": "average"}}}, table, photos, tmp_path
    )
    assert faults and all("arm 'texts': a benchmark trains by steps" in str(fault) for fault in faults)
    assert len(found) == 0

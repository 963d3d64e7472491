"""The simulation of a review: what is revealed is true, counted, and bought at the same price in every order."""

import csv
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

from drawings import draw_photos
from partlabel.cli.main import main
from partlabel.core.types import TextFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.review import effort, orders, simulation, simulation_summary
from partlabel.review.simulated_models import design_of, round_predictions
from partlabel.review.simulation import Given, Point
from partlabel.training.config import TrainingConfig

CONFIG = TrainingConfig(weight_decay=0.01)


def made(classes, maps, labels, train):
    """Return the input of a simulation whose first images are the part train."""
    design = design_of(maps[:train], classes, "average")
    return Given(classes, maps[:train], labels[:train], maps[train:], labels[train:], design)


@pytest.fixture
def given():
    """Two classes that can be read off the features, of 60 images; one is rare."""
    random = np.random.RandomState(0)
    features = random.randn(80, 6).astype(np.float32)
    labels = np.stack([features[:, 0] > 0, features[:, 1] > 1.2], 1).astype(np.int8)
    maps = torch.from_numpy(features)[..., None, None]
    return made(("half", "rare"), maps, labels, 60)


@pytest.mark.parametrize("order", orders.names())
def test_each_round_reveals_a_batch_of_true_labels(given, order):
    points = list(simulation.simulate_orders(given, order, 0, 0.3, [20] * 3, "average", CONFIG))
    assert [(point.round, point.decisions) for point in points] == [(0, 0), (1, 20), (2, 40), (3, 60)]
    known = [point.known * given.truth.size for point in points]
    assert np.diff(known) == pytest.approx([20, 20, 20])
    assert all(0 <= after.present - before.present <= 20 for before, after in pairwise(points))


def test_all_orders_end_alike_where_all_is_revealed(given):
    ends = [
        list(simulation.simulate_orders(given, order, 0, 0.5, [120], "average", CONFIG))[-1]
        for order in orders.names()
    ]
    assert {point.known for point in ends} == {1.0}
    assert len({point.map for point in ends}) == 1
    assert len({point.present for point in ends}) == 1


def test_the_weight_decay_falls_with_the_square_root_of_the_known_labels(given, monkeypatch):
    fitted = []

    def fit(images, labels, design, text, test, classes, head, config):
        fitted.append(((labels != -1).mean(), config.decay))
        return round_predictions(images, labels, design, text, test, classes, head, config)

    monkeypatch.setattr(simulation, "round_predictions", fit)
    points = list(simulation.simulate_orders(given, "class", 0, 0.25, [50, 40], "average", CONFIG))
    for share, decay in fitted:
        assert decay == pytest.approx(0.01 / np.sqrt(share))
    assert len(fitted) == 3 and fitted[-1][0] == 1.0
    assert points[-1].map == simulation.full_map(given, 0, "average", CONFIG)


def test_keys_for_a_share_of_the_full_map_are_those_of_pages():
    measured = [
        Point(0, "class", n, 100 * n, 0.1, 0, 0.5 + 0.1 * n, corrected=10 * n, pages=5 * n) for n in range(4)
    ]
    cost = simulation_summary.keys_by_pages
    assert simulation_summary.cells_to_reach(measured, {0: 1.0}, (0.65,), cost) == {
        "class": [[pytest.approx(22.5)]]
    }


def test_the_surest_order_finds_more_that_is_present_than_chance(given):
    found = {
        order: list(simulation.simulate_orders(given, order, 0, 0.4, [15], "average", CONFIG))[-1].present
        for order in ("random", "surest")
    }
    assert found["surest"] > found["random"]


@pytest.fixture(scope="module")
def weak():
    """Three classes that texts tell better than features do, of 300 images; and the texts' features."""
    random = torch.Generator().manual_seed(0)
    labels = torch.rand(300, 3, generator=random) < 0.3
    known = labels.float()
    maps = known @ torch.randn(3, 8, generator=random) + 2.5 * torch.randn(300, 8, generator=random)
    vectors = known @ torch.randn(3, 6, generator=random) + 0.2 * torch.randn(300, 6, generator=random)
    mentions = (labels & (torch.rand(300, 3, generator=random) < 0.5)).float()
    truth, maps = labels.numpy().astype(np.int8), maps[..., None, None]
    text = TextFeatures(vectors, 0.5 * mentions, mentions, torch.ones(300).bool()).rows(torch.arange(200))
    return made(("a", "b", "c"), maps, truth, 200), text


def with_texts(given, text):
    return given._replace(text=text)


def test_texts_teach_the_model_and_find_what_is_present(weak):
    without, _ = weak
    ends = {}
    for name, given in (("without", without), ("with", with_texts(*weak))):
        start, end = simulation.simulate_orders(given, "surest", 0, 0.2, [40], "average", CONFIG)
        ends[name] = start.map, end.present
    assert ends["with"][0] > ends["without"][0] + 0.03
    assert ends["with"][1] > ends["without"][1]


def test_known_labels_are_not_asked_with_texts_either(weak):
    given = with_texts(*weak)
    counts = [
        point.known * given.truth.size
        for point in simulation.simulate_orders(given, "class", 0, 0.3, [20] * 2, "average", CONFIG)
    ]
    assert np.diff(counts) == pytest.approx([20, 20])


def points(order, *maps):
    """Return the points of two seeds, which differ by 0.02."""
    return [
        Point(seed, order, n, 100 * n, 0.1, 0, value + (0.01 if seed else -0.01))
        for seed in (0, 1)
        for n, value in enumerate(maps)
    ]


def test_decisions_needed_are_read_off_the_mean_curve():
    measured = [
        *points("random", 0.5, 0.6, 0.7),
        *points("quick", 0.5, 0.8, 0.8),
        *points("slow", 0.5, 0.5, 0.55),
    ]
    assert simulation_summary.curves(measured)["random"] == ([0, 100, 200], pytest.approx([0.5, 0.6, 0.7]))
    needed = simulation_summary.needed(measured, 150)
    assert needed["random"] == pytest.approx(150)
    assert needed["quick"] == pytest.approx(50)
    assert needed["slow"] is None
    with pytest.raises(ValueError, match="no points of the order 'random' to compare the others with"):
        simulation_summary.needed(points("quick", 0.5), 0)


def test_unknown_labels_cannot_be_revealed():
    labels = np.array([[-1], [1]], np.int8)
    table = LabelTable(("a.jpg", "b.jpg"), ("cat",), labels, ("train", "test"))
    with pytest.raises(
        ValueError, match="1 labels of the part train are unknown: the simulation reveals the ground truth"
    ):
        simulation.prepare(table)


def test_simulate_review_measures_and_draws(tmp_path, capsys):
    labels = draw_photos(tmp_path / "photos", 32)
    with open(tmp_path / "all.csv", "w", newline="") as file:
        rows = [[f"{n:02}.png", "train" if n < 24 else "test", *row] for n, row in enumerate(labels.tolist())]
        csv.writer(file).writerows([["image", "split", "red", "green", "blue", "yellow"], *rows])
    typed = [
        "simulate-review",
        tmp_path / "all.csv",
        "--images",
        tmp_path / "photos",
        "--cache-dir",
        tmp_path / "cache",
    ]
    few = [
        "--known",
        "0.5",
        "--batch",
        "8",
        "--rounds",
        "1",
        "--seeds",
        "1",
        "--head",
        "average",
    ]
    few += ["--orders", "class", "--orders", "uncertain", "--orders", "surest"]
    written = ["--out", tmp_path / "r.csv", "--curve", tmp_path / "r.png"]
    assert main([*map(str, typed), *few, *map(str, written)]) == 0
    said = capsys.readouterr().out
    assert "after 8 decisions in random order" in said
    assert "mAP with all 96 labels" in said and "90%:" in said and "8 keys, 0.0 h one at a time" in said
    assert pl.read_csv(tmp_path / "r.csv").columns == list(Point._fields)
    assert len(pl.read_csv(tmp_path / "r.csv")) == 4 * 2
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "captions.csv").write_text(
        "image,caption\n" + "".join(f"{n:02}.png,a red square\n" for n in np.flatnonzero(labels[:24, 0]))
    )
    told = ["--texts", tmp_path / "captions.csv"]
    assert main([*map(str, typed), *few, *map(str, told), *map(str, written)]) == 0
    assert f"{labels[:24, 0].sum()} of 32 photos have text" in capsys.readouterr().out
    assert main([*map(str, typed[:2])]) == 2
    assert "missing: --images" in capsys.readouterr().err
    assert main([*map(str, typed), *few, "--orders", "fastest"]) != 0
    assert "there is no order 'fastest'" in capsys.readouterr().err


def test_from_nothing_known_the_first_round_is_random_and_all_orders_share_it(given):
    seconds = []
    for order in ("class", "uncertain", "random"):
        points = list(simulation.simulate_orders(given, order, 0, 0.0, [20, 10], "average", CONFIG))
        assert points[0].known == 0 and [point.decisions for point in points] == [0, 20, 30]
        assert points[1].corrected == points[1].present  # all were expected to be absent
        seconds.append((points[1].present, points[1].map))
    assert len(set(seconds)) == 1


def test_a_simulation_stops_at_its_goal(given):
    points = list(simulation.simulate_orders(given, "class", 0, 0.3, [10] * 4, "average", CONFIG, until=0.0))
    assert len(points) == 1


def test_cells_are_read_off_the_curve_of_each_seed():
    measured = points("class", 0.5, 0.7, 0.9)
    found = simulation_summary.cells_to_reach(measured, {0: 0.9, 1: 0.9}, (0.5, 1.0))
    assert found == {"class": [[0.0, 0.0], [None, pytest.approx(195)]]}
    assert simulation_summary.mean_or_none([1.0, 2.0]) == 1.5
    assert simulation_summary.mean_or_none([1.0, None]) is None


def test_effort_is_the_sum_of_its_keys_looks_and_clicks():
    assert effort.one_at_a_time(100.0) == (100, pytest.approx(100 * 1.55))
    assert effort.by_pages(100.0, 5.0, 10.0) == (15, pytest.approx(100 * 1.35 + 5 * 1.55 + 10 * 1.3))
    point = Point(0, "class", 1, 48, 0.1, 5, 0.5, 4, 2)
    ((reached, single, pages),) = simulation_summary.efforts([point])["class"]
    assert (reached, single.keys, pages.keys) == (0.5, 48, 6)

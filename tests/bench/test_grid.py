"""Grids: what a YAML file means, and what is said of one that makes no sense."""

import pytest

from partlabel.bench import grid_file
from partlabel.bench.grid import GridCell
from partlabel.bench.runner import cells


def test_lists_of_names_are_methods_and_schemes():
    made = grid_file.parse({"arms": ["bce", "soft_sst"], "protocols": ["uniform", "single_positive"]})
    assert [(arm.name, arm.method) for arm in made.arms] == [("bce", "bce"), ("soft_sst", "soft_sst")]
    assert [protocol.takes_known for protocol in made.protocols] == [True, False]


def test_anchors_and_merge_keys_keep_a_file_short(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text(
        "common: {mean: &mean {head: average, pool: 7}}\n"
        "arms:\n  hill: *mean\n  smooth: {method: label_smoothing, method_args: {smoothing: 0.2}, <<: *mean}\n"
    )
    hill, smooth = grid_file.read(file).arms
    assert (hill.method, hill.head, hill.pool) == ("hill", "average", 7)
    assert (smooth.method, smooth.method_args, smooth.head) == (
        "label_smoothing",
        {"smoothing": 0.2},
        "average",
    )


def test_a_grid_says_what_it_has_other_than_its_base_which_lies_beside_it(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "common: {map: &map {head: residual, pool: 2}}\n"
        "known: [0.1, 0.5]\nsearch: {weight_decay: [0.1, 0.3]}\n"
        "arms:\n  linear: {method: bce}\n  sst: {method_args: {precision: 0.8, start_epoch: 7}, <<: *map}\n"
    )
    (tmp_path / "grid.yaml").write_text(
        "base: base.yaml\nknown: [0.9]\narms:\n  sst: {method_args: {start_epoch: 2}}\n  hill:\n"
    )
    made = grid_file.read(tmp_path / "grid.yaml")
    linear, sst, hill = made.arms
    assert made.known == (0.9,)
    assert made.search == {"weight_decay": [0.1, 0.3]}
    assert (linear.method, hill.method) == ("bce", "hill")
    assert (sst.head, sst.pool, sst.method_args) == ("residual", 2, {"precision": 0.8, "start_epoch": 2})


def test_a_base_that_is_not_there_or_stands_on_its_own_grid_is_named(tmp_path):
    (tmp_path / "one.yaml").write_text("base: two.yaml\narms: [bce]\n")
    with pytest.raises(ValueError, match=r"one.yaml: its base .*two.yaml does not exist"):
        grid_file.read(tmp_path / "one.yaml")
    (tmp_path / "two.yaml").write_text("base: one.yaml\n")
    with pytest.raises(ValueError, match=r"two.yaml: its base .*one.yaml has it as a base in turn"):
        grid_file.read(tmp_path / "one.yaml")
    with pytest.raises(FileNotFoundError):
        grid_file.read(tmp_path / "none.yaml")


def test_every_combination_is_a_cell_once_and_protocols_without_a_share_run_once_a_seed():
    made = grid_file.parse(
        {
            "arms": ["bce", "hill"], "known": [0.1, 0.5], "seeds": [0, 1, 2],
            "protocols": {"uniform": {}, "one": {"scheme": "single_positive"}},
        }
    )  # fmt: skip
    found = [(c.arm.name, c.protocol.name, c.known, c.seed) for c in cells(made, "a table")]
    wanted = {
        (arm, protocol, known, seed)
        for arm in ("bce", "hill")
        for protocol, known in (("uniform", 0.1), ("uniform", 0.5), ("one", None))
        for seed in (0, 1, 2)
    }
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_the_search_is_the_product_of_what_is_tried():
    made = grid_file.parse({"arms": ["bce"], "search": {"weight_decay": [0.1, 0.2], "lr": [1e-3, 1e-2]}})
    assert made.tries(made.arms[0]) == [
        {"weight_decay": 0.1, "lr": 1e-3},
        {"weight_decay": 0.1, "lr": 1e-2},
        {"weight_decay": 0.2, "lr": 1e-3},
        {"weight_decay": 0.2, "lr": 1e-2},
    ]


def test_an_arm_that_takes_another_ones_settings_is_in_its_job_after_it():
    made = grid_file.parse(
        {"arms": {"sst": {"tuned_as": "plain"}, "plain": {"method": "bce"}, "hill": {}}, "known": [0.1]}
    )
    assert [[arm.name for arm in job.arms] for job in made.jobs()] == [["plain", "sst"], ["hill"]]


def test_a_result_is_named_by_all_it_hangs_on_and_by_nothing_else():
    def key(table="t", seed=0, known=0.1, **arm):
        made = grid_file.parse({"arms": {"an arm": {"method": "hill", **arm}}, "seeds": [0, 1]})
        return GridCell(made, made.arms[0], made.protocols[0], known, seed, table).key

    others = [
        key(table="another"), key(seed=1), key(known=0.2), key(method_args={"crest": 1.2}), key(pool=7),
        key(training={"epochs": 3}), key(search={"weight_decay": [0.1]}),
    ]  # fmt: skip
    assert len({key(), *others}) == 1 + len(others)
    made = grid_file.parse({"arms": {"another name": {"method": "hill"}, "bce": {}}, "seeds": [0, 5]})
    assert GridCell(made, made.arms[0], made.protocols[0], 0.1, 0, "t").key == key(), (
        "its name and other arms do not matter"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "there are no 'arms' to compare; list methods, as in 'arms: \\[bce, soft_sst\\]'"),
        ({"arms": ["bce"], "seed": [1]}, "there is no key 'seed' \\(did you mean 'seeds'\\?\\)"),
        (
            {"arms": {"a": {"metod": "bce"}}},
            "arm 'a': there is no key 'metod' \\(did you mean 'method'\\?\\)",
        ),
        (
            {"arms": {"a": {"tuned_as": "bcc"}, "bce": {}}},
            "arm 'a' is tuned as 'bcc', which is not an arm \\(did you mean",
        ),
        (
            {"arms": {"a": {"tuned_as": "b"}, "b": {"tuned_as": "bce"}, "bce": {}}},
            "arm 'a' is tuned as 'b', which is not tuned itself",
        ),
        (
            {"arms": ["bce"], "training": {"epoch": 3}},
            "no training option 'epoch' \\(did you mean 'epochs'\\?\\)",
        ),
        ({"arms": ["bce"], "known": 0.1}, r"'known' is 0.1; give a list of numbers, as in \[0.1, 0.5\]"),
        ({"arms": ["bce"], "seeds": [0.5]}, r"'seeds' is \[0.5\]; give a list of numbers, as in \[0, 1, 2\]"),
        ({"arms": ["bce"], "seeds": [3, 3]}, r"'seeds' is \[3, 3\]; list each once"),
        ({"arms": ["bce", "hill", "bce"]}, "arm 'bce' is listed 2 times; list each once"),
        (
            {"arms": {"sst, slow": {"method": "sst"}}},
            "arm 'sst, slow' has a comma in its name, which separates names in --methods and --protocols: name it "
            "'sst slow'",
        ),
        (
            {"arms": {"bce": {"search": {"lr": []}}}},
            r"arm 'bce': 'search' has \[\] for 'lr'; give a list of values to try, as in",
        ),
        ({"arms": ["bce"], "search": {"lr": 0.1}}, "'search' has 0.1 for 'lr'; give a list of values to try"),
        ({"arms": ["bce"], "training": {"epochs": 0}}, "arm 'bce': epochs is 0; it has to be at least 1"),
        (
            {"arms": ["bce"], "protocols": ["unifrom"]},
            "no hiding scheme 'unifrom' \\(did you mean 'uniform'\\?\\)",
        ),
        ({"arms": ["bce"], "seeds": []}, "there are no seeds"),
    ],
)
def test_what_makes_no_sense_is_named(content, message):
    with pytest.raises(ValueError, match=message):
        grid_file.parse(content)


def test_fine_tuning_is_another_result_and_its_absence_changes_no_name():
    made = grid_file.parse(
        {"arms": {"plain": {"method": "bce"}, "after": {"method": "bce", "fine_tuned": {}}}}
    )
    plain, *_, after = cells(made, "a table")
    assert "fine_tuned" not in plain.settings()["arm"] and after.settings()["arm"]["fine_tuned"] == {}
    assert plain.key != after.key


def test_what_stands_empty_is_what_it_would_be_unsaid():
    said = {
        "arms": {"a": {"method": "bce", "head": None}},
        "search": None,
        "protocols": {"uniform": {"options": None}},
    }
    assert grid_file.parse(said) == grid_file.parse({"arms": {"a": {"method": "bce"}}})


def test_an_arm_that_has_more_to_choose_from_than_others_is_refused():
    wide = {"method": "hill", "search": {"weight_decay": [0.1, 0.2, 0.3, 0.4]}}
    with pytest.raises(ValueError, match="arm 'bce' tries 3 settings on validation and arm 'hill' 4: give"):
        grid_file.parse({"arms": {"bce": {}, "hill": wide}})
    grid_file.parse({"arms": {"bce": {}, "hill": wide | {"tuned_as": "bce"}}})

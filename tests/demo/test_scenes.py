"""The drawn scenes: what the labels say is what was drawn, and the same seed draws the same bytes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.demo import scenes
from partlabel.demo.scenes.places import PLACES, SIZES


@pytest.fixture(scope="module")
def plans():
    return [scenes.plan(0, index) for index in range(1000)]


def pixels(scene, size=128):
    return np.asarray(scenes.paint(scene, size)).astype(int)


def test_the_same_seed_draws_the_same_bytes(tmp_path):
    once, again = (scenes.draw(tmp_path / name, 12, seed=3, size=48) for name in "ab")
    assert (once.labels == again.labels).all()
    for row in range(12):
        assert once.path(row).read_bytes() == again.path(row).read_bytes()
    assert (tmp_path / "a/labels.csv").read_bytes() == (tmp_path / "b/labels.csv").read_bytes()


def test_another_seed_draws_other_scenes():
    assert [scenes.plan(0, index) for index in range(5)] != [scenes.plan(1, index) for index in range(5)]


def test_a_scene_does_not_depend_on_how_many_are_drawn(tmp_path):
    few, many = scenes.draw(tmp_path / "few", 3, size=32), scenes.draw(tmp_path / "many", 6, size=32)
    assert [few.path(row).read_bytes() for row in range(3)] == [
        many.path(row).read_bytes() for row in range(3)
    ]


def test_the_table_names_every_image_knows_every_label_and_is_saved_beside_them(tmp_path):
    table = scenes.draw(tmp_path, 60, size=32)
    assert table.missing() == ()
    assert table.unknown == 0
    assert table.split == ("train",) * 48 + ("test",) * 12
    read = scenes.LabelTable.read(tmp_path / "labels.csv", images=tmp_path)
    assert (read.images, read.classes, read.split) == (table.images, table.classes, table.split)
    assert (read.labels == table.labels).all()


def test_the_labels_are_the_things_in_the_plan(tmp_path):
    table = scenes.draw(tmp_path, 20, seed=5, size=32)
    for row in range(20):
        placed = {one.thing for one in scenes.plan(5, row).placed}
        for column, name in enumerate(table.classes):
            assert table.labels[row, column] == (PRESENT if name in placed else ABSENT)


def test_every_thing_that_is_labelled_can_be_seen():
    for index in range(40):
        scene = scenes.plan(11, index)
        whole = pixels(scene)
        for thing in scene.present:
            without = replace(scene, placed=tuple(one for one in scene.placed if one.thing != thing))
            changed = (np.abs(whole - pixels(without)).max(axis=2) > 12).sum()
            assert changed >= 20, f"{thing} in scene {index} ({scene.place}) changes {changed} pixels"


@pytest.mark.parametrize("thing", scenes.CLASSES)
def test_every_thing_draws_something_in_its_own_place(thing):
    place = next(name for name, place in PLACES.items() if thing in place.chances)
    empty = scenes.Scene(place, 0.5, (), seed=1)
    full = replace(empty, placed=(scenes.Placed(thing, 0.5, 0.5, 0.2, False, 0.0, seed=1),))
    assert (np.abs(pixels(full, 64) - pixels(empty, 64)).max(axis=2) > 12).sum() > 64


def test_there_are_at_least_fifteen_classes_and_each_has_a_size_and_a_place():
    assert len(scenes.CLASSES) >= 15
    assert (
        set(scenes.CLASSES) == set(SIZES) == {thing for place in PLACES.values() for thing in place.chances}
    )


def test_about_three_classes_are_present_and_none_is_rare(plans):
    assert 2.7 < np.mean([len(scene.present) for scene in plans]) < 3.7
    assert min(len(scene.present) for scene in plans) >= 1
    assert min(Counter(thing for scene in plans for thing in scene.present).values()) > 30


def test_what_comes_together_depends_on_the_place(plans):
    def share(thing, place):
        here = [scene for scene in plans if scene.place == place]
        return np.mean([thing in scene.present for scene in here])

    assert share("crab", "beach") > 10 * share("crab", "farm")
    assert share("sheep", "farm") > 10 * share("sheep", "street")
    with_teapot = [scene for scene in plans if "teapot" in scene.present]
    together = np.mean(["cup" in scene.present for scene in with_teapot])
    assert together > 3 * np.mean(["cup" in scene.present for scene in plans])


def test_every_kind_of_scene_occurs(plans):
    assert {scene.place for scene in plans} == set(PLACES)


def test_images_have_the_size_asked_for():
    assert scenes.paint(scenes.plan(0), 40).size == (40, 40)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 3, "size": 2}])
def test_drawing_nothing_is_an_error_that_says_what_is_possible(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"count=\d, size=\d+: draw at least 1 scene of at least 16 pixels"):
        scenes.draw(tmp_path / "none", **wrong)
    assert not (tmp_path / "none").exists()


def test_a_collection_is_photos_and_a_table_with_blanks_whose_truth_is_kept_beside(tmp_path):
    table = scenes.collection(tmp_path, images=80, known=0.25, new=3, size=32)
    truth = scenes.LabelTable.read(tmp_path / "truth.csv", images=tmp_path / "photos")
    read = scenes.LabelTable.read(tmp_path / "labels.csv", images=tmp_path / "photos")
    assert (read.labels == table.labels).all()
    assert truth.unknown == 0
    assert truth.images == read.images
    known = read.labels != -1
    assert known.mean() == pytest.approx(0.25, abs=0.05)
    assert (read.labels[known] == truth.labels[known]).all()
    assert {path.name for path in (tmp_path / "new-photos").iterdir()} == {
        f"{number:05}.jpg" for number in (80, 81, 82)
    }


def test_a_collection_shows_the_same_scenes_as_a_drawn_data_set(tmp_path):
    table, drawn = (
        scenes.collection(tmp_path / "a", 4, new=0, size=32),
        scenes.draw(tmp_path / "b", 4, size=32),
    )
    assert table.path(3).read_bytes() == drawn.path(3).read_bytes()


def test_a_collection_of_nothing_is_an_error_that_says_what_is_possible(tmp_path):
    with pytest.raises(ValueError, match="images=0, new=40, size=128: draw at least 1 photo"):
        scenes.collection(tmp_path / "none", images=0)
    assert not (tmp_path / "none").exists()


def test_the_contact_sheet_shows_different_places():
    sheet = scenes.contact_sheet(2, 3, size=48)
    assert sheet.size == (3 * 54 + 6, 2 * 78 + 6)
    assert len(sheet.getcolors(1 << 20)) > 1000

"""The source `context`, and the keys of folder, minute and place that it compares."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from informed import CLASSES, IMAGES, collection
from partlabel import LabelTable
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.images.context import MISSING, context_keys
from partlabel.evaluation.metrics import average_precision
from partlabel.training.context import asked_context
from partlabel.transfer.sources import context as context_source
from partlabel.transfer.sources.context import PRIOR_LABELS, Context
from partlabel.transfer.teacher import DEFAULT, Teacher, with_default

CONTEXT = ("recogniser", "context")


def write(path, time=None, place=None):
    """Write a photo with an EXIF header."""
    exif = Image.Exif()
    if time:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = time
    if place:
        north, east = place
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                1: "N",
                2: (float(int(north)), north % 1 * 60, 0.0),
                3: "W",
                4: (float(int(east)), east % 1 * 60, 0.0),
            }
        )
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, exif=exif)


def in_folders(random_folders=False, seed=0):
    """A collection whose photos lie in folders; photos of one folder show much the same unless folders are random."""
    given, truth = collection(seed=seed)
    random = torch.Generator().manual_seed(seed)
    pattern = (truth @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    folder = torch.randint(0, 16, (IMAGES,), generator=random) if random_folders else pattern
    keys = torch.full((IMAGES, 3), MISSING)
    keys[:, 0] = folder + 1
    return replace(given, context=keys, text=None), truth


def mean_ap(odds, truth, labels):
    hidden = torch.where(labels == UNKNOWN, truth, float(UNKNOWN)).to(torch.int8).numpy()
    return sum(average_precision(odds[:, c].numpy(), hidden[:, c]) for c in range(CLASSES)) / CLASSES


def test_scores_are_the_stated_shares_of_other_photos_with_the_same_key():
    given, _ = in_folders()
    scores = Context(CLASSES).fit(given)
    labels, folder = given.labels, given.context[:, 0]
    for image in (0, 17):
        for cls in range(CLASSES):
            known = labels[labels[:, cls] != UNKNOWN, cls]
            share = float(((known == PRESENT).sum() + 0.5) / (len(known) + 1))
            others = [r for r in range(IMAGES) if r != image and folder[r] == folder[image]]
            present, absent = (sum(int(labels[r, cls]) == code for r in others) for code in (PRESENT, ABSENT))
            rate = (present + PRIOR_LABELS * share) / (present + absent + PRIOR_LABELS)
            expected = math.log(rate / (1 - rate)) - math.log(share / (1 - share))
            assert float(scores[image, cls]) == pytest.approx(expected, abs=1e-4)


def test_photos_of_one_folder_inform_each_other():
    given, truth = in_folders()
    teacher = Teacher.of(given, CONTEXT)
    odds = teacher.fit(given)
    assert teacher.weights["context"] > 0
    plain = Teacher.of(given, ["recogniser"]).fit(given)
    assert mean_ap(odds, truth, given.labels) > mean_ap(plain, truth, given.labels) + 0.1


@pytest.mark.parametrize("seed", range(3))
def test_folders_that_say_nothing_have_no_weight(seed):
    given, _ = in_folders(random_folders=True, seed=seed)
    teacher = Teacher.of(given, CONTEXT)
    odds = teacher.fit(given)
    assert teacher.weights["context"] == 0
    torch.testing.assert_close(odds, Teacher.of(given, ["recogniser"]).fit(given))


def test_a_photo_without_context_has_no_evidence_and_new_photos_are_found_by_key():
    given, _ = in_folders()
    given.context[3] = MISSING
    source = Context(CLASSES)
    assert not source.fit(given)[3].any()
    elsewhere = replace(given, context=given.context + 1_000)
    assert not source(elsewhere).any()
    assert source(given)[4].any()


def test_keys_are_shared_by_photos_of_one_folder_minute_and_place(tmp_path):
    write(tmp_path / "rome/1.jpg", "2026:05:01 10:20:03", (41.9, 12.5))
    write(tmp_path / "rome/2.jpg", "2026:05:01 10:20:59", (41.90002, 12.5))
    write(tmp_path / "oslo/3.jpg", "2026:05:01 10:21:00", (59.9, 10.7))
    write(tmp_path / "4.jpg", "0000:00:00 00:00:00")
    first, second, third, fourth = context_keys(
        ["rome/1.jpg", "rome/2.jpg", "oslo/3.jpg", "4.jpg"], tmp_path
    ).tolist()
    assert first == second and MISSING not in first
    assert all(one != other for one, other in zip(first, third, strict=True))
    assert fourth == [MISSING] * 3 == context_keys(["none.jpg"], tmp_path)[0].tolist()
    assert context_keys(["rome/1.jpg"], None)[0].tolist() == [first[0], MISSING, MISSING]
    assert MISSING == context_source.MISSING


def test_context_is_read_only_if_it_is_asked_for(tmp_path):
    table = LabelTable(("a/1.jpg", "a/2.jpg"), ("cat",), np.zeros((2, 1), np.int8), root=tmp_path)
    settings = {"method": "evidence", "method_args": {"sources": "context"}}
    assert asked_context(table, settings).shape == (2, 3)
    assert asked_context(table, {"method": "evidence", "method_args": {}}) is None
    assert asked_context(table, {"method": "auto", "method_args": {}}) is None


def test_named_sources_are_added_to_the_default_ones():
    assert with_default("") == DEFAULT
    assert with_default("context, text,class_prototypes") == (*DEFAULT, "context", "class_prototypes")
    with pytest.raises(
        ValueError, match=r"there is no source 'contxt'; did you mean 'context'\?|no source 'contxt'"
    ):
        with_default("contxt")

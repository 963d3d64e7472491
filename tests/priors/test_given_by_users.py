"""What users give: a prevalence, a calibration set; and out-of-fold logits that training kept."""

import numpy as np
import pytest

from partlabel import LabelTable
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.priors import calibration_set, prevalence
from partlabel.training.out_of_fold import OutOfFold

CLASSES = ("cat", "dog", "horse")


def test_a_number_is_the_mean_number_of_classes_per_image():
    assert prevalence.read("1.5", CLASSES) == 1.5 and prevalence.read(2, CLASSES) == 2.0


def test_a_file_has_a_share_for_each_class(tmp_path):
    path = tmp_path / "shares.csv"
    path.write_text("class,share\ndog,0.25\ncat,0.5\n", encoding="utf-8-sig")
    np.testing.assert_array_equal(prevalence.read(path, CLASSES), [0.5, 0.25, np.nan])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class,share\ndgo,0.2\n", r"row 1: the model has no class 'dgo' \(did you mean 'dog'\?\)"),
        ("class,share\ndog,0.2\ndog,0.3\n", "row 2: class 'dog' has two rows; keep one"),
        ("class,share\ndog,20\n", "row 1: the share of class 'dog' is '20'; it is a number between 0 and 1"),
        ("class,share\ndog,\n", "row 1: the share of class 'dog' is ''"),
        ("name,share\ndog,0.2\n", r"there is no column 'class' in its header \(name, share\)"),
        ("class,share\n", "has no row"),
        ("", "there is no column 'class' in its header"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text, said, tmp_path):
    path = tmp_path / "shares.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"shares.csv.*{said}"):
        prevalence.read(path, CLASSES)


@pytest.mark.parametrize("number", ["0", "3", "-1", "nan"])
def test_a_number_that_no_image_can_have_is_refused(number):
    with pytest.raises(
        ValueError, match=f"--prevalence {number}: .* lies between 0 and 3, the number of classes"
    ):
        prevalence.read(number, CLASSES)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(
        FileNotFoundError, match=r"--prevalence shares.csv: there is no such file; give a number"
    ):
        prevalence.read("shares.csv", CLASSES)


def write(path, rows, header="image,calibration,dog,cat,horse"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_calibration_set_is_the_marked_images_of_a_table(tmp_path):
    rows = [f"{n}.jpg,{int(n < 25)},{n % 2},1,0" for n in range(25)] + ["x.jpg,0,1,,", "y.jpg,,,,"]
    found = calibration_set.read(write(tmp_path / "labels.csv", rows), None, CLASSES)
    assert len(found) == 25 and "x.jpg" not in found.images
    assert found.classes == CLASSES and found.labels[1].tolist() == [1, 1, 0]


def test_a_table_without_marks_is_a_calibration_set_as_a_whole(tmp_path):
    path = write(tmp_path / "set.csv", [f"{n}.jpg,1,0,0" for n in range(20)], "image,cat,dog,horse")
    assert len(calibration_set.read(path, None, CLASSES)) == 20


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            ["a.jpg,0,1,0,0"],
            "the column 'calibration' marks no image; write 1 for the images that were drawn",
        ),
        (
            ["a.jpg,1,1,,"],
            "33% of the labels of its 1 images are known; a calibration set is labelled completely",
        ),
        (["a.jpg,1,0,0,0"] * 1, "no label of its 1 images is present"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*says little")
def test_a_set_that_cannot_calibrate_is_refused(rows, said, tmp_path):
    with pytest.raises(ValueError, match=f"labels.csv: {said}"):
        calibration_set.read(write(tmp_path / "labels.csv", rows), None, CLASSES)


def test_a_class_that_is_missing_is_named(tmp_path):
    path = write(tmp_path / "set.csv", ["a.jpg,1,0"], "image,cat,dog")
    with pytest.raises(
        ValueError, match=r"class 'horse' is in the model but not in the calibration set .*set.csv"
    ):
        calibration_set.read(path, None, CLASSES)


def test_a_small_set_is_warned_of(tmp_path):
    path = write(tmp_path / "set.csv", ["a.jpg,1,0,0"], "image,cat,dog,horse")
    with pytest.warns(UserWarning, match="a calibration set of 1 images is imprecise; about 40 are enough"):
        calibration_set.read(path, None, CLASSES)


def test_images_of_another_folder_are_others(tmp_path):
    labels = np.array([[PRESENT], [UNKNOWN]], np.int8)
    table = LabelTable(("a.jpg", "b.jpg"), ("cat",), labels, root=tmp_path)
    kept = OutOfFold(table, np.array([[1.0], [2.0]], np.float32))
    assert kept.rows(table[[1]]).tolist() == [1]
    elsewhere = LabelTable(("b.jpg", "c.jpg"), ("cat",), labels, root=tmp_path / "other")
    assert kept.rows(elsewhere).tolist() == [-1, -1]
    assert kept.rows(LabelTable(("b.jpg", "c.jpg"), ("cat",), labels, root=tmp_path)).tolist() == [1, -1]

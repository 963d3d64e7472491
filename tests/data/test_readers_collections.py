"""COCO, VOC, Visual Genome and plain folders, on tiny files in exactly their formats."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from partlabel import LabelTable
from partlabel.core.text_files import listed_in
from partlabel.data import readers
from partlabel.data.tables import hiding

REFERENCE = Path(__file__).parent.parent / "reference"

COCO = {
    "images": [
        {"id": 9, "file_name": "nine.jpg"},
        {"id": 2, "file_name": "two.jpg"},
        {"id": 5, "file_name": "none.jpg"},
    ],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
    "annotations": [
        {"image_id": 2, "category_id": 18, "iscrowd": 0},
        {"image_id": 9, "category_id": 1, "iscrowd": 1},
        {"image_id": 2, "category_id": 18, "iscrowd": 0},
        {"image_id": 2, "category_id": 3, "iscrowd": 0},
    ],
}


def coco(folder, **changes):
    path = folder / "instances.json"
    path.write_text(json.dumps({**COCO, **changes}))
    return path


def test_coco_keeps_the_order_of_images_and_category_ids_and_empty_images(tmp_path):
    table = LabelTable.read(coco(tmp_path), absent="negative")
    assert table.images == ("nine.jpg", "two.jpg", "none.jpg")
    assert table.classes == ("person", "car", "dog")
    assert table.labels.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert LabelTable.read(coco(tmp_path), absent="unknown").labels.tolist() == [
        [1, -1, -1],
        [-1, 1, 1],
        [-1] * 3,
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": None}, "not a COCO instances file: it has no list 'images'"),
        ({"categories": [{"id": 1}]}, r"categories\[0\] has no 'name'"),
        ({"images": [1]}, r"images\[0\] is 1, not an object"),
        ({"images": [{"id": [], "file_name": "x.jpg"}]}, r"images\[0\]: 'id' is \[\], not a int"),
        ({"images": [{"id": 1, "file_name": None}]}, r"images\[0\]: 'file_name' is null, not a str"),
        ({"annotations": ["x"]}, r'annotations\[0\] is "x", not an object'),
        (
            {"images": [*COCO["images"], {"id": 9, "file_name": "x.jpg"}]},
            "ids that occur more than once in 'images': 9",
        ),
        ({"images": [{"id": i, "file_name": "x.jpg"} for i in (9, 2, 5)], "annotations": []}, "never|merged"),
        (
            {"annotations": [{"image_id": 7, "category_id": 1}]},
            r"annotations\[0\] with image_id 7; add it or drop them",
        ),
        ({"annotations": [{"image_id": 9, "category_id": 8}]}, r"annotations\[0\] with category_id 8"),
        (
            {"categories": [*COCO["categories"], {"id": 99, "name": "dog"}]},
            r"class name\(s\) used more than once: 'dog'",
        ),
        (
            {"images": [{"id": i, "file_name": f"../{i}.jpg"} for i in (9, 2, 5)]},
            "do not stay inside the image folder",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*never present")
def test_what_is_wrong_with_coco_is_said(tmp_path, changes, said):
    if said == "never|merged":  # duplicate file names that agree: one row, said aloud
        with pytest.warns(UserWarning, match=r"2 row\(s\) name an image again"):
            assert len(LabelTable.read(coco(tmp_path, **changes), absent="negative")) == 1
        return
    with pytest.raises(ValueError, match=r"instances.json: .*" + said):
        LabelTable.read(coco(tmp_path, **changes), absent="negative")


def test_coco_asks_what_absence_means(tmp_path):
    with pytest.raises(
        ValueError, match=r"instances.json: COCO lists only what is present. Specify the meaning"
    ):
        LabelTable.read(coco(tmp_path))
    (tmp_path / "instances.json").write_text("{")
    with pytest.raises(ValueError, match=r"instances.json: not JSON"):
        LabelTable.read(tmp_path / "instances.json", absent="negative")


OBJECT = "<object><name>{}</name><difficult>{}</difficult></object>"
VOC = {"000005": [("chair", 0), ("dog", 1)], "000007": [("car", 0), ("car", 1)], "000001": [("dog", 0)]}


def devkit(folder, xml=True, txt=True):
    main = folder / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (main / "trainval.txt").write_bytes(b"000005\r\n000007\r\n")
    (main / "train.txt").write_text("000005\n")
    (main / "test.txt").write_text("000001\n")
    (main / "class.txt").write_text("car\nchair\ndog\n")
    (folder / "JPEGImages").mkdir()
    for image in VOC:
        (folder / "JPEGImages" / f"{image}.jpg").touch()
    if xml:
        (folder / "Annotations").mkdir()
        for image, objects in VOC.items():
            inside = "".join(OBJECT.format(*each) for each in objects)
            (folder / "Annotations" / f"{image}.xml").write_text(f"<annotation>{inside}</annotation>")
    if txt:
        cells = {
            "trainval": {"car": (-1, 1), "chair": (1, -1), "dog": (0, -1)},
            "test": {"car": (-1,), "chair": (-1,), "dog": (1,)},
        }
        images = {"trainval": ("000005", "000007"), "test": ("000001",)}
        for part, classes in cells.items():
            for name, codes in classes.items():
                lines = [f"{image} {code:2d}" for image, code in zip(images[part], codes, strict=True)]
                (main / f"{name}_{part}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("source", ["xml", "txt"])
@pytest.mark.parametrize(("difficult", "dog"), [("absent", 0), ("unknown", -1), ("present", 1)])
def test_voc_by_its_xml_or_its_text_files_is_the_same(tmp_path, source, difficult, dog):
    folder = devkit(tmp_path, xml=source == "xml", txt=source == "txt")
    absent = "negative" if source == "xml" else None
    table = LabelTable.read(folder, absent=absent, difficult=difficult)
    if (
        difficult == "unknown" and source == "xml"
    ):  # what is not mentioned is absent; what is doubtful is not known
        table_unknown = LabelTable.read(folder, absent="unknown", difficult=difficult)
        assert table_unknown.labels[0].tolist() == [-1, 1, -1]
    assert table.classes == ("car", "chair", "dog")
    assert table.images == ("000005.jpg", "000007.jpg", "000001.jpg")
    assert table.split == ("train", "train", "test")
    assert table.root == folder / "JPEGImages"
    assert table.labels.tolist() == [[0, 1, dog], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("source", ["xml", "txt"])
@pytest.mark.parametrize(("absent", "dog"), [("unknown", -1), ("negative", 0)])
def test_what_is_difficult_is_absent_only_by_the_rule_of_the_literature(tmp_path, source, absent, dog):
    folder = devkit(tmp_path, xml=source == "xml", txt=source == "txt")
    table = LabelTable.read(folder, absent=absent)
    assert table.labels[0, table.classes.index("dog")] == dog
    assert f"only difficult objects is {absent.replace('negative', 'absent')} too" in readers.absence(
        "voc", absent
    )
    if source == "txt":  # which say what is absent, but not what is difficult
        assert LabelTable.read(folder).labels[0].tolist() == [0, 1, -1]


@pytest.mark.filterwarnings("ignore:.*never present")
def test_voc_sets_and_classes_can_be_chosen(tmp_path):
    table = LabelTable.read(
        devkit(tmp_path), absent="negative", sets=["train", "test"], classes=["dog", "chair", "cow"]
    )
    assert (table.images, table.split) == (("000005.jpg", "000001.jpg"), ("train", "test"))
    assert table.classes == ("dog", "chair", "cow")


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (lambda d: None, {}, "XML lists only what is present; in VOC's own files all else is absent"),
        (lambda d: None, {"sets": ["trainvla"]}, r"there is no set 'trainvla' \(did you mean 'trainval'\?\)"),
        (lambda d: None, {"classes": ["dog", "cat"]}, r"000005.xml: object 'chair' is not among the classes"),
        (
            lambda d: os.remove(d / "Annotations/000007.xml"),
            {},
            r"1 of 3 annotation files are missing: 000007 \(.xml\)",
        ),
        (lambda d: (d / "Annotations/000007.xml").write_text("<a>"), {}, "000007.xml: not XML"),
        (
            lambda d: (d / "Annotations/000007.xml").write_text("<a><object/></a>"),
            {},
            "object 0: it has no name",
        ),
        (
            lambda d: (d / "ImageSets/Main/trainval.txt").write_text("000001\n"),
            {},
            "'000001.jpg' is in rows 1, 2 with diff",
        ),
    ],
)
def test_what_is_wrong_with_voc_is_said(tmp_path, spoil, options, said):
    spoil(devkit(tmp_path))
    absent = None if "XML lists" in said else "negative"
    with pytest.raises(ValueError, match=said):
        LabelTable.read(tmp_path, absent=absent, **options)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda m: (m / "dog_test.txt").unlink(),
            "dog_test.txt is missing: no labels of class 'dog' in set 'test'",
        ),
        (
            lambda m: (m / "dog_test.txt").write_text("000001 2\n"),
            "dog_test.txt, line 1: '000001 2' is not an image of",
        ),
        (lambda m: (m / "dog_test.txt").write_text("\n000009 1\n"), "dog_test.txt, line 2"),
        (
            lambda m: [f.unlink() for f in m.glob("*_*.txt")],
            "neither ../../Annotations nor files such as dog_trainval",
        ),
        (lambda m: [f.unlink() for f in m.glob("*.txt")], "no trainval.txt, train.txt, val.txt or test.txt"),
    ],
)
def test_what_is_wrong_with_the_text_files_is_said(tmp_path, spoil, said):
    spoil(devkit(tmp_path, xml=False) / "ImageSets" / "Main")
    with pytest.raises(ValueError, match=said):
        LabelTable.read(tmp_path)


def test_the_official_voc_2007_lists_are_the_authors_labels_and_masks(real_data):
    table = LabelTable.read(real_data / "voc2007_labels", absent="negative")
    with np.load(REFERENCE / "voc2007_authors_partial_labels.npz") as authors:
        train = table.part("train").labels
        np.testing.assert_array_equal(np.where(train == 1, 1, -1), authors["train_labels"])
        np.testing.assert_array_equal(np.where(table.part("test").labels == 1, 1, -1), authors["test_labels"])
        assert table.unknown == 0
        for percent in range(10, 100, 10):
            kept = np.unpackbits(authors[f"known_mask_{percent / 100}"])[: train.size].reshape(train.shape)
            hidden = table.hide("uniform", known=percent / 100, part="train")
            np.testing.assert_array_equal(hidden.part("train").labels != -1, kept)
            assert hidden.part("test").unknown == 0
    assert hiding.uniform(train, 0.1).sum(where=hiding.uniform(train, 0.1) == 1) == 740  # a published count


def genome(folder):
    (folder / "train_list_500.txt").write_text("2329.jpg\n1.jpg\n")
    (folder / "test_list_500.txt").write_text("77.jpg\n")
    index = {"1.jpg": [0, 199, 200], "2329.jpg": [3], "77.jpg": [], "88.jpg": [1]}
    (folder / "vg_category_500_labels_index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.filterwarnings("ignore:.*never present")
def test_visual_genome_is_name_lists_and_a_label_index(tmp_path):
    table = LabelTable.read(genome(tmp_path), absent="negative")
    assert (table.images, table.split) == (("2329.jpg", "1.jpg", "77.jpg"), ("train", "train", "test"))
    assert len(table.classes) == 200
    assert np.argwhere(table.labels == 1).tolist() == [[0, 3], [1, 0], [1, 199]]
    assert table.unknown == 0
    whole = LabelTable.read(
        tmp_path / "train_list_500.txt", absent="unknown", format="visual_genome", below=500
    )
    assert (whole.split, whole.present, whole.absent) == (None, 4, 0)


@pytest.mark.filterwarnings("ignore:.*never present")
def test_visual_genome_images_are_in_two_folders(tmp_path):
    genome(tmp_path)
    for folder, names in (("VG_100K", ["2329.jpg", "77.jpg"]), ("VG_100K_2", ["1.jpg"])):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    table = LabelTable.read(tmp_path, images=tmp_path, absent="negative")
    assert table.images == ("VG_100K/2329.jpg", "VG_100K_2/1.jpg", "VG_100K/77.jpg")


@pytest.mark.parametrize(
    ("index", "options", "said"),
    [
        ({}, {}, "3 of 3 images are not in the index: 2329.jpg, 1.jpg, 77.jpg"),
        ([], {}, "not a label index: it maps every image name to a list"),
        (
            {"1.jpg": ["dog"], "2329.jpg": [], "77.jpg": []},
            {},
            "image '1.jpg' has the class id.s. dog; ids are numbers",
        ),
        (None, {"classes": ["dog"]}, "1 class names for the 200 ids below 200"),
        (None, {"index": "none.json"}, "there is no label index none.json; give its path with index="),
        (None, {"absent": None}, "the label index lists only what is present. Specify the meaning"),
    ],
)
def test_what_is_wrong_with_visual_genome_is_said(tmp_path, index, options, said):
    genome(tmp_path)
    if index is not None:
        (tmp_path / "vg_category_500_labels_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=said):
        LabelTable.read(tmp_path, **{"absent": "negative", **options})


def test_a_folder_is_listed_with_nothing_known(tmp_path):
    for name in ("b.JPG", "a/z.png", "a/notes.txt", ".hidden.jpg", ".git/x.jpg", "a/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    table = LabelTable.read(tmp_path, classes=["dog"])
    assert table.images == ("a/c.webp", "a/z.png", "b.JPG")
    assert (table.classes, table.labels.tolist(), table.root) == (("dog",), [[-1]] * 3, tmp_path)
    assert LabelTable.read(tmp_path).classes == ()


def test_a_text_file_lists_images(tmp_path):
    (tmp_path / "list.txt").write_text("b.jpg\n\na.jpg\n")
    assert LabelTable.read(tmp_path / "list.txt").images == ("b.jpg", "a.jpg")


MARK = b"\xef\xbb\xbf"  # what Windows puts before UTF-8


@pytest.mark.filterwarnings("ignore:.*never present")
def test_lists_may_begin_with_the_mark_of_windows(tmp_path):
    (tmp_path / "list.txt").write_bytes(MARK + b"b.jpg\r\na.jpg\r\n")
    assert LabelTable.read(tmp_path / "list.txt").images == ("b.jpg", "a.jpg")
    assert listed_in(tmp_path / "list.txt") == ["b.jpg", "a.jpg"]
    for folder, files in (
        (genome(tmp_path), ("train_list_500.txt", "vg_category_500_labels_index.json")),
        (devkit(tmp_path / "voc", xml=False), ("ImageSets/Main/test.txt", "ImageSets/Main/dog_test.txt")),
    ):
        plain = LabelTable.read(folder, absent="negative")
        for name in files:
            (folder / name).write_bytes(MARK + (folder / name).read_bytes())
        marked = LabelTable.read(folder, absent="negative")
        assert marked.images == plain.images and np.array_equal(marked.labels, plain.labels)


@pytest.mark.parametrize(
    ("list_of", "name"),
    [
        (lambda folder: folder, "list.txt"),
        (genome, "train_list_500.txt"),
        (genome, "vg_category_500_labels_index.json"),
        (lambda folder: devkit(folder, xml=False), "ImageSets/Main/test.txt"),
        (lambda folder: devkit(folder, xml=False), "ImageSets/Main/dog_test.txt"),
    ],
)
def test_lists_in_other_encodings_are_refused_by_name(tmp_path, list_of, name):
    folder = list_of(tmp_path)
    (folder / name).write_bytes("é.jpg".encode("latin-1"))
    with pytest.raises(
        ValueError, match=rf"{name}: (not UTF-8 at byte 0; save the file as|not JSON: 'utf-8')"
    ):
        LabelTable.read(folder / name if name == "list.txt" else folder, absent="unknown")


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no image in this folder or below; looked for .jpg"):
        LabelTable.read(tmp_path)
    with pytest.raises(ValueError, match="a folder names no class"):
        LabelTable.read(tmp_path, absent="negative")

"""Folders whose labels lie beside the images: read with the right labels, or named, and nothing left out in silence."""

import json
import os
import warnings

import pytest
from PIL import Image

from partlabel import LabelTable
from partlabel.data import readers

pytestmark = pytest.mark.filterwarnings("ignore:.*never present")


def photos(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(folder / name)
    return folder


def write(folder, name, content, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding=encoding)
    return path


def known(table):
    """Return the known labels, as `{image: {class: 1 or 0}}`."""
    return {
        image: {name: int(code) for name, code in zip(table.classes, row, strict=True) if code >= 0}
        for image, row in zip(table.images, table.labels, strict=True)
    }


# YOLO

BOX = "0 0.5 0.5 0.2 0.2\n"
POLYGON = "1 0.1 0.1 0.2 0.2 0.3 0.1\n"


def yolo(folder, names="names: [dog, cat]\n"):
    photos(folder, "images/a.jpg", "images/b.jpg", "images/c.jpg", "images/d.jpg")
    write(folder, "labels/a.txt", BOX + POLYGON)
    write(folder, "labels/b.txt", POLYGON)
    write(folder, "labels/c.txt", "")
    if names:
        write(folder, "data.yaml", names)
    return folder


YOLO = {
    "images/a.jpg": {"dog": 1, "cat": 1},
    "images/b.jpg": {"dog": 0, "cat": 1},
    "images/c.jpg": {"dog": 0, "cat": 0},
}


@pytest.mark.parametrize(
    "names",
    ["names: [dog, cat]\nnc: 2\n", "names:\n  0: dog\n  1: cat\n", "nc: 2\n'names': ['dog', 'cat']\n"],
)
def test_yolo_folders_have_the_classes_of_their_boxes(tmp_path, names):
    folder = yolo(tmp_path, names)
    for path in (folder, folder / "data.yaml"):
        assert readers.recognise(path) == "yolo"
        table = LabelTable.read(path, absent="negative")
        assert table.classes == ("dog", "cat"), "by number, not by name"
        assert known(table) == YOLO | {"images/d.jpg": {}}, "without a file, nobody looked"
    table = LabelTable.read(folder, absent="unknown")
    assert known(table)["images/b.jpg"] == {"cat": 1}


def test_yolo_requires_to_know_what_a_missing_box_means(tmp_path):
    with pytest.raises(
        ValueError, match=r"YOLO lists only what is present.*absent='unknown'.*absent='negative'"
    ):
        LabelTable.read(yolo(tmp_path))


def test_yolo_names_may_be_in_a_text_file_or_be_given(tmp_path):
    folder = yolo(tmp_path, names="")
    with pytest.raises(
        ValueError, match=r"a.txt, line 1: class 0 has no name: there are 0 names; write data.yaml.*classes="
    ):
        LabelTable.read(folder, absent="negative")
    assert known(LabelTable.read(folder, absent="negative", classes=["dog", "cat"]))["images/a.jpg"] == {
        "dog": 1,
        "cat": 1,
    }
    write(folder, "labels/classes.txt", "dog\ncat\n")
    assert readers.recognise(folder) == "yolo"
    assert known(LabelTable.read(folder, absent="negative"))["images/b.jpg"] == {"dog": 0, "cat": 1}


def test_yolo_labels_may_lie_apart_from_the_images(tmp_path):
    folder = yolo(tmp_path, names="")
    write(folder, "labels/classes.txt", "dog\ncat\n")
    table = LabelTable.read(folder / "labels", folder / "images", absent="negative")
    assert known(table) == {name.removeprefix("images/"): said for name, said in YOLO.items()} | {"d.jpg": {}}


@pytest.mark.parametrize(
    ("layout", "listed"),
    [
        (
            "{part}/{kind}",
            "train: ../train/images\nval: ../valid/images\n",
        ),  # as Roboflow writes, one folder too high
        ("{kind}/{part}", "path: ../somewhere/else\ntrain: images/train\nval: images/valid\n"),
        ("{kind}/{part}", ""),
    ],
)
def test_yolo_parts_are_the_folders_of_its_file_or_those_of_such_a_name(tmp_path, layout, listed):
    for part, name in (("train", "a"), ("train", "b"), ("valid", "c")):
        photos(tmp_path, f"{layout.format(part=part, kind='images')}/{name}.png")
        write(tmp_path, f"{layout.format(part=part, kind='labels')}/{name}.txt", BOX)
    table = LabelTable.read(write(tmp_path, "data.yaml", f"{listed}names: [dog]\n"), absent="negative")
    split = {image.split("/")[-1]: part for image, part in zip(table.images, table.split, strict=True)}
    assert split == {"a.png": "train", "b.png": "train", "c.png": "val"}


@pytest.mark.parametrize("line", ["dog 0.5 0.5 0.2 0.2", "0 0.5 x 0.2 0.2", "-1 0.5 0.5 0.2 0.2"])
def test_a_line_that_is_no_box_is_named(tmp_path, line):
    folder = yolo(tmp_path)
    write(folder, "labels/b.txt", f"{BOX}{line}\n")
    with pytest.raises(ValueError, match=r"b.txt, line 2: .* is not a box"):
        LabelTable.read(folder, format="yolo", absent="negative")


def test_boxes_are_never_read_as_names(tmp_path):
    folder = yolo(tmp_path)
    with pytest.raises(
        ValueError, match=r"a.txt, line 1: '0 0.5 0.5 0.2 0.2' is a box of YOLO.*format='yolo'"
    ):
        LabelTable.read(folder / "labels", folder / "images", format="sidecar", absent="negative")


def test_a_label_file_of_no_image_is_named(tmp_path):
    folder = yolo(tmp_path)
    write(folder, "labels/gone.txt", BOX)
    with pytest.warns(UserWarning, match=r"1 of 4 label files belong to no image in .*: labels/gone.txt"):
        LabelTable.read(folder, absent="negative")


def test_a_label_file_of_two_images_is_refused(tmp_path):
    folder = photos(yolo(tmp_path), "images/a.png")
    with pytest.raises(
        ValueError, match=r"labels/a.txt may belong to images/a.jpg or images/a.png; keep one"
    ):
        LabelTable.read(folder, absent="negative")
    sidecar = photos(tmp_path / "sidecar", "a.jpg", "a.png")
    write(sidecar, "a.txt", "dog\n")
    with pytest.raises(ValueError, match=r"a.txt may belong to a.jpg or a.png; keep one"):
        LabelTable.read(sidecar, format="sidecar", absent="negative")


# Pascal VOC without lists


def voc_xml(*names, difficult="0", head=""):
    objects = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult></object>" for name in names
    )
    return f"{head}<annotation><filename>x.jpg</filename>{objects}</annotation>"


@pytest.mark.parametrize("place", ["{}", "Annotations/{}", "annotations/{}"])
def test_flat_voc_has_the_classes_of_its_objects(tmp_path, place):
    photos(tmp_path, "my photo.jpg", "b.png", "c.jpg")
    write(tmp_path, place.format("my photo.xml"), voc_xml("dog", "dog", "cat"))
    write(tmp_path, place.format("b.xml"), voc_xml())
    assert readers.recognise(tmp_path) == "voc_flat"
    table = LabelTable.read(tmp_path, absent="negative")
    assert known(table) == {"my photo.jpg": {"cat": 1, "dog": 1}, "b.png": {"cat": 0, "dog": 0}, "c.jpg": {}}


def test_flat_voc_knows_parts_and_difficult_objects(tmp_path):
    photos(tmp_path, "train/a.jpg", "valid/b.jpg")
    write(tmp_path, "train/a.xml", voc_xml("dog"))
    write(tmp_path, "valid/b.xml", voc_xml("dog", difficult="1"))
    table = LabelTable.read(tmp_path, absent="negative")
    assert table.split == ("train", "val")
    assert known(table)["valid/b.jpg"] == {"dog": 0}, "the literature's rule"
    assert known(LabelTable.read(tmp_path, absent="negative", difficult="unknown"))["valid/b.jpg"] == {}
    assert known(LabelTable.read(tmp_path, absent="unknown", difficult="present"))["valid/b.jpg"] == {
        "dog": 1
    }


@pytest.mark.parametrize(
    "encoding", ["gb2312", "gbk", "big5", "shift_jis", "euc-kr", "utf-16", "iso-8859-1", "utf-8-sig"]
)
def test_xml_is_read_in_every_encoding_that_it_declares(tmp_path, encoding):
    name = {"iso-8859-1": "Hündchen", "shift_jis": "犬", "euc-kr": "개"}.get(encoding, "狗")
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    photos(tmp_path, "a.jpg")
    write(tmp_path, "a.xml", voc_xml(name, head=f'<?xml version="1.0" encoding="{declared}"?>\n'), encoding)
    assert LabelTable.read(tmp_path, format="voc_flat", absent="negative").classes == (name,)


@pytest.mark.parametrize(
    ("declared", "said"),
    [("utf-8", "it is not in utf-8"), ("x-unheard", "the encoding 'x-unheard' is not known")],
)
def test_xml_in_another_encoding_is_named_with_the_fix(tmp_path, declared, said):
    photos(tmp_path, "JPEGImages/1.jpg")
    head = f'<?xml version="1.0" encoding="{declared}"?>'
    write(tmp_path, "Annotations/1.xml", voc_xml("Hündchen", head=head), "latin-1")
    write(tmp_path, "ImageSets/Main/train.txt", "1\n")
    with pytest.raises(ValueError, match=rf"1.xml: {said}.*save it as UTF-8"):
        LabelTable.read(tmp_path, absent="negative")


def test_voc_names_may_have_spaces_and_sets_other_names(tmp_path):
    photos(tmp_path, "JPEGImages/my photo.jpg", "JPEGImages/two 1.jpg", "JPEGImages/plain.png")
    for name in ("my photo", "two 1", "plain"):
        write(tmp_path, f"Annotations/{name}.xml", voc_xml("dog"))
    write(tmp_path, "ImageSets/Main/train.txt", "my photo\ntwo 1\n")
    write(tmp_path, "ImageSets/Main/valid.txt", "plain 1\n")
    table = LabelTable.read(tmp_path, absent="negative")
    assert table.images == ("my photo.jpg", "two 1.jpg", "plain.png")
    assert table.split == ("train", "train", "val")


def test_voc_text_files_of_names_with_spaces_are_read(tmp_path):
    write(tmp_path, "ImageSets/Main/train.txt", "my photo\nother one\n")
    write(tmp_path, "ImageSets/Main/dog_train.txt", "my photo  1\nother one -1\n")
    assert known(LabelTable.read(tmp_path)) == {"my photo.jpg": {"dog": 1}, "other one.jpg": {"dog": 0}}


def test_xml_that_defines_entities_is_refused(tmp_path):
    photos(tmp_path, "a.jpg")
    write(tmp_path, "a.xml", '<!DOCTYPE a [<!ENTITY b "c">]>' + voc_xml("&b;"))
    with pytest.raises(ValueError, match=r"a.xml: it defines entities"):
        LabelTable.read(tmp_path, format="voc_flat", absent="negative")


# labelme


def test_labelme_has_the_classes_of_shapes_and_of_ticked_flags(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    write(tmp_path, "a.json", {"shapes": [{"label": "dog"}, {"label": "dog"}], "imagePath": "a.jpg"})
    write(tmp_path, "b.json", {"shapes": [], "flags": {"wet": True, "dark": False}, "label": 0})
    assert readers.recognise(tmp_path) == "labelme"
    table = LabelTable.read(tmp_path, absent="negative")
    assert known(table) == {
        "a.jpg": {"dark": 0, "dog": 1, "wet": 0},
        "b.jpg": {"dark": 0, "dog": 0, "wet": 1},
        "c.jpg": {},
    }
    assert known(LabelTable.read(tmp_path, absent="unknown"))["b.jpg"] == {"wet": 1}
    write(tmp_path, "c.json", {"shapes": [{"points": []}]})
    with pytest.raises(ValueError, match=r"c.json: shapes\[0\] has no 'label'"):
        LabelTable.read(tmp_path, absent="negative")


# A folder for each class


def test_class_folders_say_what_is_present_and_by_rule_what_is_not(tmp_path):
    photos(tmp_path, "cat/b.jpg", "dog/a.jpg", "dog/more/c.jpg")
    (tmp_path / "bird").mkdir()
    table = LabelTable.read(tmp_path, format="class_folders", absent="unknown")
    assert table.classes == ("bird", "cat", "dog")
    assert known(table) == {"cat/b.jpg": {"cat": 1}, "dog/a.jpg": {"dog": 1}, "dog/more/c.jpg": {"dog": 1}}
    table = LabelTable.read(tmp_path, format="class_folders", absent="negative")
    assert known(table)["cat/b.jpg"] == {"bird": 0, "cat": 1, "dog": 0}
    photos(tmp_path, "loose.jpg")
    with pytest.warns(
        UserWarning, match="1 of 4 images are in no class folder, and their labels are unknown: loose.jpg"
    ):
        table = LabelTable.read(tmp_path, format="class_folders", absent="negative")
    assert known(table)["loose.jpg"] == {}


def test_class_folders_within_parts_have_a_split(tmp_path):
    photos(tmp_path, "Training/cat/a.jpg", "Validation/dog/b.jpg", "test/dog/c.jpg")
    table = LabelTable.read(tmp_path, format="class_folders", absent="negative")
    assert table.classes == ("cat", "dog")
    assert dict(zip(table.images, table.split, strict=True)) == {
        "Training/cat/a.jpg": "train",
        "Validation/dog/b.jpg": "val",
        "test/dog/c.jpg": "test",
    }


def test_folders_that_may_be_classes_are_named(tmp_path):
    photos(tmp_path, "cat/b.jpg", "dog/a.jpg")
    with pytest.warns(
        UserWarning,
        match=r"without labels, although its images lie in 2 folders \(cat, dog\).*class_folders",
    ):
        assert LabelTable.read(tmp_path).classes == ()


# CVAT

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>
<image id="0" name="sub/a.jpg" width="8" height="8"><tag label="dog" source="manual"></tag></image>
<image id="1" name="b.jpg"><box label="cat" xtl="1"/><tag label="dog"><attribute name="age">2</attribute></tag></image>
<image id="2" name="c.jpg"></image></annotations>"""


def test_cvat_has_the_classes_of_tags_and_shapes(tmp_path):
    path = write(tmp_path, "annotations.xml", CVAT)
    assert readers.recognise(path) == "cvat"
    table = LabelTable.read(path, absent="negative")
    assert table.classes == ("dog", "cat"), "in the order of the task"
    assert known(table) == {
        "sub/a.jpg": {"dog": 1, "cat": 0},
        "b.jpg": {"dog": 1, "cat": 1},
        "c.jpg": {"dog": 0, "cat": 0},
    }
    with pytest.raises(ValueError, match="CVAT lists only what is present"):
        LabelTable.read(path)
    path = write(tmp_path, "video.xml", "<annotations><track label='dog'/></annotations>")
    with pytest.raises(
        ValueError, match=r"video.xml: it has no <image>; export as CVAT for images, not for video"
    ):
        LabelTable.read(path, absent="negative")


def test_cvat_subsets_are_parts(tmp_path):
    text = CVAT.replace('name="sub/a.jpg"', 'name="a.jpg" subset="Train"').replace(
        'name="b.jpg"', 'name="b.jpg" subset="Validation"'
    )
    text = text.replace('name="c.jpg"', 'name="c.jpg" subset="Test"')
    assert LabelTable.read(write(tmp_path, "a.xml", text), absent="negative").split == (
        "train",
        "val",
        "test",
    )


# Label Studio: CSV and taxonomies

STUDIO = "image,id,choice,annotator,annotation_id,created_at,updated_at,lead_time\n"


def studio_csv(folder, *cells, columns=STUDIO):
    rows = [
        f'{image},{task},"{cell}",1,{task}{number},t,t,2' for number, (image, task, cell) in enumerate(cells)
    ]
    return write(folder, "project.csv", columns + "\n".join(rows) + "\n")


def coded(value):
    return json.dumps(value).replace('"', '""')


def test_label_studio_csv_has_names_json_and_empty_annotations(tmp_path):
    path = studio_csv(
        tmp_path,
        ("/data/upload/1/0123abcd-a.jpg", 1, coded({"choices": ["dog", "red cat"]})),
        ("b.jpg", 2, "dog"),
        ("c.jpg", 3, ""),
    )
    assert readers.recognise(path) == "label_studio_csv"
    table = LabelTable.read(path, absent="negative")
    assert known(table) == {
        "a.jpg": {"dog": 1, "red cat": 1},
        "b.jpg": {"dog": 1, "red cat": 0},
        "c.jpg": {"dog": 0, "red cat": 0},
    }
    with pytest.raises(ValueError, match="a name that is not selected was rejected, or not considered"):
        LabelTable.read(path)


def test_label_studio_csv_keeps_open_what_annotators_disagree_on(tmp_path):
    path = studio_csv(tmp_path, ("a.jpg", 1, coded({"choices": ["dog", "cat"]})), ("a.jpg", 1, "dog"))
    assert known(LabelTable.read(path, absent="negative")) == {"a.jpg": {"dog": 1}}
    with pytest.raises(ValueError, match=r"image 'a.jpg': class 'cat' is selected by some annotators"):
        LabelTable.read(path, absent="negative", disagree="refuse")


TREE = [["animal", "dog"], ["animal"], ["thing", "cup"]]


@pytest.mark.parametrize(
    ("hierarchy", "classes"),
    [
        ("leaf", {"animal", "cup", "dog"}),
        ("parents", {"animal", "cup", "dog", "thing"}),
        ("path", {"animal|dog", "thing|cup"}),
    ],
)
def test_taxonomies_have_leaves_parents_or_paths_in_both_exports(tmp_path, hierarchy, classes):
    result = [{"type": "taxonomy", "from_name": "t", "value": {"taxonomy": TREE}}]
    nested = [{"type": "choices", "from_name": "t", "value": {"choices": TREE}}]
    tasks = [{"data": {"image": "a.jpg"}, "annotations": [{"result": result}]}]
    for path in (
        write(tmp_path, "tasks.json", tasks),
        write(tmp_path, "nested.json", [{"data": {"image": "a.jpg"}, "annotations": [{"result": nested}]}]),
        studio_csv(
            tmp_path, ("a.jpg", 1, coded([{"taxonomy": TREE}])), columns=STUDIO.replace("choice", "tree")
        ),
    ):
        table = LabelTable.read(path, absent="unknown", hierarchy=hierarchy)
        assert {*table.classes} == classes, path.name
        assert table.present == len(classes)


def test_two_leaves_of_one_name_are_told_apart_by_their_paths(tmp_path):
    path = studio_csv(tmp_path, ("a.jpg", 1, coded([{"taxonomy": [["car", "other"], ["dog", "other"]]}])))
    with pytest.raises(
        ValueError,
        match=r"'other' is both 'car\|other' and 'dog\|other'; tell them apart with hierarchy='path'",
    ):
        LabelTable.read(path, absent="unknown")
    assert LabelTable.read(path, absent="unknown", hierarchy="path").classes == ("car|other", "dog|other")


# Hierarchical keywords

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description>{}</rdf:Description></rdf:RDF></x:xmpmeta>"""
DC = "<dc:subject><rdf:Bag><rdf:li>dog</rdf:li></rdf:Bag></dc:subject>"
LR = "<lr:hierarchicalSubject><rdf:Bag><rdf:li>animal|pet|dog</rdf:li></rdf:Bag></lr:hierarchicalSubject>"
DIGIKAM = "<digiKam:TagsList><rdf:Seq><rdf:li>animal/pet/dog</rdf:li></rdf:Seq></digiKam:TagsList>"


@pytest.mark.parametrize("nested", [LR, DIGIKAM, LR + DIGIKAM, DC + LR])
def test_hierarchical_keywords_have_leaves_and_by_option_parents(tmp_path, nested):
    photos(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path, "a.xmp", XMP.format(nested))
    write(tmp_path, "b.xmp", XMP.format(DC))
    read = {
        how: LabelTable.read(tmp_path, format="keywords", absent="unknown", hierarchy=how)
        for how in ("leaf", "parents", "path")
    }
    assert known(read["leaf"]) == {"a.jpg": {"dog": 1}, "b.jpg": {"dog": 1}}
    assert known(read["parents"]) == {"a.jpg": {"animal": 1, "pet": 1, "dog": 1}, "b.jpg": {"dog": 1}}
    assert known(read["path"]) == {"a.jpg": {"animal|pet|dog": 1}, "b.jpg": {"dog": 1}}


# What lies in folders besides images


def test_a_folder_has_all_images_that_can_be_decoded_and_says_what_it_left_out(tmp_path):
    photos(tmp_path, "a.jpg", "sub/e.JPG")
    for name in ("b.jfif", "c.jpe", "d.mpo"):
        (tmp_path / name).write_bytes((tmp_path / "a.jpg").read_bytes())
    (tmp_path / "clip.mp4").touch()
    (tmp_path / ".hidden.jpg").touch()
    with pytest.warns(UserWarning, match=r": 1 file of another kind left out: clip.mp4$"):
        table = LabelTable.read(tmp_path)
    assert table.images == ("a.jpg", "b.jfif", "c.jpe", "d.mpo", "sub/e.JPG")
    (tmp_path / "sub" / "notes.doc").touch()
    with pytest.warns(UserWarning, match=": 2 files of other kinds left out: clip.mp4, sub/notes.doc"):
        LabelTable.read(tmp_path)


def test_heic_is_read_where_it_can_be_and_named_where_not(tmp_path, monkeypatch):
    from partlabel.data.images import decode

    photos(tmp_path, "a.jpg")
    (tmp_path / "IMG.HEIC").touch()
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    decode.photo_formats.cache_clear()
    decode.photo_suffixes.cache_clear()
    try:
        with pytest.warns(
            UserWarning, match=r"1 file of another kind left out: IMG.HEIC \(pip install 'partlabel\[heic\]'"
        ):
            assert LabelTable.read(tmp_path).images == ("a.jpg",)
    finally:
        decode.photo_formats.cache_clear()
        decode.photo_suffixes.cache_clear()


def test_only_formats_that_photos_have_are_decoded(tmp_path):
    from partlabel.data.images.decode import decode, photo_suffixes

    assert not {".eps", ".ps", ".pdf", ".wmf", ".psd", ".fits"} & {*photo_suffixes()}
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(OSError, match="not an image"):
        decode(tmp_path / "a.jpg")


def test_linked_folders_are_entered_once(tmp_path):
    photos(tmp_path, "elsewhere/x.jpg", "photos/a.jpg", "photos/sub/b.jpg")
    folder = tmp_path / "photos"
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder / "sub")
    (folder / "loop").symlink_to(folder)
    with pytest.warns(UserWarning, match="2 linked folders not entered again: again, loop"):
        table = LabelTable.read(folder)
    assert table.images == ("a.jpg", "linked/x.jpg", "sub/b.jpg")


def test_a_name_that_is_not_utf8_is_named_or_left_out(tmp_path):
    photos(tmp_path, "a.jpg")
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    with open(odd, "wb") as file:
        file.write((tmp_path / "a.jpg").read_bytes())
    with pytest.raises(
        ValueError,
        match=r"the name of 1 image is not UTF-8: caf\\xe9.jpg; rename the file, or .*skip_broken=True",
    ):
        LabelTable.read(tmp_path)
    with pytest.warns(UserWarning, match=r"1 image left out, whose name is not UTF-8: caf\\xe9.jpg"):
        assert LabelTable.read(tmp_path, skip_broken=True).images == ("a.jpg",)
    for format in ("sidecar", "keywords", "class_folders"):
        with pytest.raises(ValueError, match=r"not UTF-8: caf\\xe9.jpg; rename the file$"):
            LabelTable.read(tmp_path, format=format, absent="unknown")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("labels.csv", "image,dog\na.jpg,1\n", "labels.csv may have labels: give it instead"),
        ("_annotations.coco.json", {"images": [], "categories": [], "annotations": []}, "and format='coco'"),
        ("annotations.xml", CVAT, "and format='cvat'"),
        ("a.txt", "dog, cat\n", "a.txt lies beside an image: such files are read with format='sidecar'"),
        ("a.json", ["dog"], "a.json lies beside an image: such files are read with format='sidecar'"),
    ],
)
def test_labels_that_lie_in_a_folder_of_images_are_named(tmp_path, name, content, said):
    photos(tmp_path, "a.jpg")
    write(tmp_path, name, content)
    with pytest.warns(UserWarning, match=f"read as images without labels, although .*{said}"):
        assert LabelTable.read(tmp_path).classes == ()


def test_a_plain_folder_is_read_without_a_word(tmp_path):
    photos(tmp_path, "a.jpg", "2023/b.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LabelTable.read(tmp_path).images == ("2023/b.jpg", "a.jpg")


def test_parts_are_not_taken_for_classes(tmp_path):
    photos(tmp_path, "train/a.jpg", "val/b.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LabelTable.read(tmp_path)
    photos(tmp_path, "train/dog/a.jpg", "val/cat/b.jpg")
    (tmp_path / "train/a.jpg").unlink()
    (tmp_path / "val/b.jpg").unlink()
    with pytest.warns(UserWarning, match=r"lie in 2 folders \(cat, dog\)"):
        LabelTable.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("a.xml", voc_xml("dog")), ("a.json", {"shapes": [{"label": "dog"}]})]
)
def test_the_label_file_of_one_image_names_its_folder(tmp_path, name, content):
    path = write(photos(tmp_path, "a.jpg"), name, content)
    with pytest.raises(ValueError, match=rf"{name}: the labels of one image; give the folder"):
        LabelTable.read(path, absent="negative")


def test_a_text_of_boxes_is_no_list_of_images(tmp_path):
    with pytest.raises(ValueError, match=r"a.txt: a list of YOLO boxes, not of images"):
        LabelTable.read(write(tmp_path, "a.txt", BOX + POLYGON))


def test_a_folder_of_many_images_is_not_searched_for_labels_without_end(tmp_path, monkeypatch):
    from partlabel.data.readers import _folders

    monkeypatch.setattr(_folders, "_OF_FOLDER", 3)
    for number in range(10):
        (tmp_path / f"{number}.jpg").touch()
    assert len(_folders._sample(tmp_path)) == 3
    assert _folders.kinds(tmp_path) == []


def odd_name(folder):
    """A folder with a photo, one whose name is not UTF-8, and a file of another kind."""
    photos(folder, "a.jpg")
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.jpg"), "wb") as file:
        file.write((folder / "a.jpg").read_bytes())
    (folder / "clip.mp4").touch()
    return folder


def test_prediction_lists_a_folder_as_import_does_and_skips_what_it_is_told_to(tmp_path):
    from partlabel.core.fixes import typed
    from partlabel.data.tables.of_images import table_of
    from partlabel.sharded import of_path

    folder = odd_name(tmp_path)
    write(folder, "a.xml", voc_xml("dog"))  # labels do not matter to prediction
    with pytest.raises(ValueError, match="not UTF-8") as refused:
        table_of(folder)
    assert typed(refused.value).endswith(r"caf\xe9.jpg; rename the file, or leave it out with --skip-broken")
    said = r"2 files of other kinds left out: a.xml, clip.mp4; 1 image left out, whose name is not UTF-8: caf\\xe9.jpg"
    with pytest.warns(UserWarning, match=said):
        assert table_of(folder, skip_broken=True).images == ("a.jpg",)
    rows = of_path(folder, format="folder", skip_broken=True)
    with pytest.warns(UserWarning, match=said):
        assert [table.images for table in rows.tables(10)] == [("a.jpg",)]
    with pytest.raises(ValueError, match="not UTF-8"):
        list(of_path(folder, format="folder").tables(10))


def test_the_command_line_says_what_was_left_out_and_what_to_type(tmp_path, capsys):
    from partlabel.cli.main import main
    from partlabel.core.fixes import typed

    folder = odd_name(tmp_path)
    assert main(["import", str(folder)]) == 2
    said = capsys.readouterr().err
    assert (
        r"caf\xe9.jpg; rename the file, or leave it out with --format folder --format.skip_broken true"
        in said
    )
    with pytest.warns(UserWarning, match=r"1 file of another kind left out: clip.mp4"):
        assert main(["import", str(folder), "--format.skip_broken", "true"]) == 0
    classes = photos(tmp_path / "sorted", "cat/b.jpg", "dog/a.jpg")
    with pytest.warns(UserWarning, match="if each is a class") as warned:
        assert main(["import", str(classes)]) == 0
    assert typed(warned[0].message).endswith("they are read with --format class_folders")
    assert main(["import", str(classes), "--format", "class_folders"]) == 2
    assert "--absent unknown (not annotated) or --absent negative" in capsys.readouterr().err


def test_a_part_that_nothing_uses_is_said_at_import(tmp_path, capsys):
    from partlabel.cli.main import main

    path = write(tmp_path, "t.csv", "image,split,dog\na.jpg,train,1\nb.jpg,holdout,0\n")
    with pytest.warns(UserWarning, match=r"part 'holdout' \(1 image\) is not used"):
        assert main(["import", str(path)]) == 0
    assert "train 1, holdout 1" in capsys.readouterr().out


def test_files_of_names_that_belong_to_no_image_are_named(tmp_path):
    photos(tmp_path, "a.jpg")
    write(tmp_path, "a.txt", "dog\n")
    write(tmp_path, "gone.txt", "cat\n")
    with pytest.warns(UserWarning, match=r"1 of 2 label files belong to no image in .*: gone.txt"):
        assert LabelTable.read(tmp_path, format="sidecar", absent="negative").classes == ("dog",)


def test_what_roboflow_writes_about_a_data_set_is_no_label_file(tmp_path):
    folder = yolo(tmp_path)
    write(folder, "README.dataset.txt", "0 images were made up\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert known(LabelTable.read(folder, absent="negative"))["images/a.jpg"] == {"dog": 1, "cat": 1}

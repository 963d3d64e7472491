"""Texts in the photos themselves, beside them, and in their names."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts import attach
from partlabel.data.texts._path_words import words_of

pytestmark = pytest.mark.filterwarnings("ignore:.*photos have no text")
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">
<rdf:Description photoshop:Headline="Harbour at dusk">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">two boats</rdf:li></rdf:Alt></dc:description>
<dc:title><rdf:Alt><rdf:li>Boats</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def of(*images: str, root: Path | None = None) -> LabelTable:
    return LabelTable(images, ("cat",), np.ones((len(images), 1), np.int8), root=root)


def jpeg(**options: object) -> bytes:
    held = BytesIO()
    Image.new("RGB", (8, 8)).save(held, "JPEG", **options)
    return held.getvalue()


def iptc(**values: tuple[int, str]) -> bytes:
    """A JPEG with an IPTC block in its Photoshop segment."""
    sets = b"".join(
        bytes([0x1C, 2, number]) + len(text.encode()).to_bytes(2, "big") + text.encode()
        for number, text in values.values()
    )
    block = b"8BIM\x04\x04\0\0" + len(sets).to_bytes(4, "big") + sets + b"\0" * (len(sets) % 2)
    segment = b"Photoshop 3.0\0" + block
    plain = jpeg()
    return plain[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]


def test_texts_come_from_xmp_iptc_exif_and_files_beside(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a cat on a wall"
    exif[0x9C9B] = "Cat\0".encode("utf-16-le")
    (tmp_path / "exif.jpg").write_bytes(jpeg(exif=exif))
    (tmp_path / "xmp.jpg").write_bytes(jpeg(xmp=XMP.encode()))
    (tmp_path / "iptc.jpg").write_bytes(iptc(title=(5, "Löwe"), caption=(120, "a lion"), keyword=(25, "zoo")))
    (tmp_path / "beside.jpg").write_bytes(jpeg())
    (tmp_path / "beside.jpg.xmp").write_text(XMP)
    names = ("exif.jpg", "xmp.jpg", "iptc.jpg", "beside.jpg")
    in_xmp = ("two boats", "Boats", "sea", "Harbour at dusk")
    found = attach(of(*names, root=tmp_path), ["exif"])
    assert found.texts == (("a cat on a wall", "Cat"), in_xmp, ("Löwe", "a lion", "zoo"), in_xmp)


def test_what_cameras_write_into_every_photo_is_no_text(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "OLYMPUS DIGITAL CAMERA         "
    (tmp_path / "a.jpg").write_bytes(jpeg(exif=exif))
    assert attach(of("a.jpg", root=tmp_path), ["exif"]).texts is None


def test_hostile_metadata_is_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a\x00cat\x07 " + "x" * 20_000
    exif[0x9C9B] = b"\xff"
    (tmp_path / "long.jpg").write_bytes(jpeg(exif=exif))
    (tmp_path / "bomb.jpg").write_bytes(jpeg(xmp=b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))
    (tmp_path / "torn.jpg").write_bytes(iptc(caption=(120, "a lion"))[:60])
    (tmp_path / "torn.xmp").write_text("<open")
    (tmp_path / "none.jpg").mkdir()
    names = ("long.jpg", "bomb.jpg", "torn.jpg", "none.jpg", "gone.jpg")
    with pytest.warns(UserWarning, match="1 text.* have more than 10,000 characters"):
        texts = attach(of(*names, root=tmp_path), ["exif"]).texts
    assert texts is not None and len(texts[0][0]) == 10_000 and texts[0][0].startswith("a cat xxx")
    assert texts[1:] == ((), (), (), ())


def test_text_files_beside_photos_are_texts_and_boxes_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat\n\nasleep\n", encoding="utf-16")
    (tmp_path / "b.jpg.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "c.caption").write_text("a dog")
    found = attach(of("a.jpg", "b.jpg", "c.jpg", root=tmp_path), ["sidecar"])
    assert found.texts == (("a cat", "asleep"), (), ("a dog",))
    (tmp_path / "c.caption").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"c\.caption: not UTF-8 at byte 3"):
        attach(found, ["sidecar"])


@pytest.mark.parametrize("source", ["exif", "sidecar"])
def test_texts_with_the_photos_need_the_image_folder(source: str) -> None:
    with pytest.raises(ValueError, match=f"{source}: .* no image folder: give it with images="):
        attach(of("a.jpg"), [source])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("IMG_2041", ""),
        ("DSC01234", ""),
        ("P1010123", ""),
        ("IMG-20230101-WA0003", ""),
        ("3f2a9bcd7e", ""),
        ("COCO_train2014_000000123", "COCO"),
        ("golden-retriever_012", "golden retriever"),
        ("goldenRetriever12", "golden Retriever"),
        ("Hund und Katze (2)", "Hund und Katze"),
        ("Ärger am Fluß", "Ärger am Fluß"),
        ("red-train", "red train"),
        ("猫 12", "猫"),
        ("NASA launch", "NASA launch"),
    ],
)
def test_words_of_a_file_name_are_without_counters_dates_and_prefixes_of_cameras(
    name: str, words: str
) -> None:
    assert " ".join(words_of(name)) == words


def test_names_of_files_and_folders_are_texts() -> None:
    table = of("train/street-cats/Rome 2019/red_cat_1.jpg", "val/IMG_1.jpg")
    assert attach(table, ["filename"]).texts == (("red cat",), ())
    assert attach(table, ["folder", "filename"]).texts == (("street cats", "Rome", "red cat"), ())


def test_a_word_in_all_names_says_nothing() -> None:
    table = of(*(f"holiday/holiday_{'cat' if at % 2 else 'dog'}_{at}.jpg" for at in range(20)))
    assert attach(table, ["filename"]).texts == (("dog",), ("cat",)) * 10
    assert attach(table, ["folder"]).texts is None


def test_pictures_of_other_kinds_are_read(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "a barn"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.tif", tiffinfo=tags)
    assert attach(of("a.tif", root=tmp_path), ["exif"]).texts == (("a barn",),)

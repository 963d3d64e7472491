"""A few thousand mutated label files, images and model folders: read, or refused by name; never a traceback or a hang.

`pytest tests/test_fuzz.py --fuzz 100000` tries that many inputs, with seeds that `make test` does not use.
"""

import csv
import io
import json
import random
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
from PIL import Image

from mutations import mutated
from partlabel.core.errors import _library, sentence
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data import readers
from partlabel.data.images.decode import decode
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts import attach

TABLES, IMAGES = 1500, 700
"""Inputs of each kind in `make test`."""
SECONDS = 10
"""That one input may take on a busy machine; they take milliseconds."""
PHOTOS = [f"{number}.jpg" for number in range(4)]


@contextmanager
def no_hang(what):
    """Allow the given number of seconds inside, where the system can tell."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_):
        raise AssertionError(f"{what} took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def amount(request):
    """Return the number of inputs of a kind, and their first seed."""
    asked = request.config.getoption("--fuzz")
    return lambda usual: (usual, 0) if not asked else (-(-asked * usual // (TABLES + IMAGES)), 1_000_003)


def wide() -> bytes:
    return b"image,split,cat,dog\n0.jpg,train,1,0\n1.jpg,train,,1\n2.jpg,val,0,\n3.jpg,test,1,1\n"


def long() -> bytes:
    return b"image,class,label\n0.jpg,cat,1\n0.jpg,dog,0\n1.jpg,dog,1\n2.jpg,cat,\n3.jpg,cat,1\n"


def lists() -> bytes:
    return b'image,labels\n0.jpg,"cat,dog"\n1.jpg,dog\n2.jpg,cat\n3.jpg,\n'


def filled() -> bytes:
    return b"image,cat,cat:p,cat:source\n0.jpg,1,,human\n1.jpg,,0.25,bce@a\n2.jpg,0,0.125,bce@a\n"


def captioned() -> bytes:
    return b'image,cat,text,title\n0.jpg,1,"a cat\nat home",1\n1.jpg,0,,0\n2.jpg,,two dogs,\n'


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame(
        {"image": PHOTOS, "cat": [True, False, None, True], "dog": [None, True, None, False]}
    ).write_parquet(file)
    return file.getvalue()


def jsonl() -> bytes:
    lines = [
        {"image": "0.jpg", "present": ["cat"], "absent": ["dog"]},
        {"image": "1.jpg", "labels": {"dog": 1, "cat": 0}},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def coco(**more) -> bytes:
    content = {
        "images": [{"id": number, "file_name": name, **more} for number, name in enumerate(PHOTOS)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"image_id": 0, "category_id": 1}, {"image_id": 3, "category_id": 1}],
    }
    return json.dumps(content).encode()


def lvis() -> bytes:
    return coco(neg_category_ids=[2], not_exhaustive_category_ids=[], coco_url="http://x/val2017/0.jpg")


def label_studio() -> bytes:
    value = {"from_name": "classes", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
    task = {"id": 1, "data": {"image": "/data/local-files/?d=0.jpg"}, "annotations": [{"result": [value]}]}
    return json.dumps([task, task | {"data": {"image": "1.jpg"}}]).encode()


def fiftyone() -> bytes:
    found = {"_cls": "Classifications", "classifications": [{"_cls": "Classification", "label": "cat"}]}
    return json.dumps(
        {"samples": [{"filepath": "0.jpg", "positive_labels": found}, {"filepath": "1.jpg"}]}
    ).encode()


FILES = {
    "wide.csv": wide, "long.csv": long, "lists.csv": lists, "filled.csv": filled, "t.parquet": parquet,
    "t.jsonl": jsonl, "coco.json": coco, "lvis.json": lvis, "label_studio.json": label_studio,
    "fiftyone.json": fiftyone, "captioned.csv": captioned,
}  # fmt: skip


def captions() -> bytes:
    return b'image,caption,alt\n0.jpg,"a cat\nat home",cat\n1.jpg,two dogs,\nx/0.jpg,tom,\n'


def lines_of_captions() -> bytes:
    return b'{"image": "0.jpg", "caption": ["a cat", {"text": "tom"}]}\n{"image": "1.jpg", "title": "dogs"}\n'


def coco_captions() -> bytes:
    return json.dumps(
        {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(PHOTOS)],
            "annotations": [{"image_id": number, "caption": f"cat {number}"} for number in (0, 3, 0)],
        }
    ).encode()


TEXTS = {"captions.csv": captions, "captions.jsonl": lines_of_captions, "captions.json": coco_captions}


def refused_by_name(error, path, content):
    """An error is one of input, raised by this package, and names the file."""
    assert isinstance(error, ValueError | OSError), (error, content)
    assert _library(error) is None, (error, content)
    assert str(path) in str(error), (error, content)
    assert "Traceback" not in sentence(error)


@pytest.mark.parametrize("name", TEXTS)
def test_mutated_files_of_texts_are_read_or_refused_by_name(tmp_path, amount, name):
    content, path = TEXTS[name](), tmp_path / name
    table = LabelTable(tuple(PHOTOS), ("cat",), np.zeros((len(PHOTOS), 1), np.int8))
    count, seed = amount(TABLES // len(FILES))
    read = 0
    for number in range(count + 1):
        path.write_bytes(changed := mutated(content, random.Random(seed + number)) if number else content)
        with no_hang(repr(changed)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = attach(table, [str(path)])
            except Exception as error:
                assert number
                refused_by_name(error, path, changed)
            else:
                read += 1
                saved = found.save(tmp_path / "saved.parquet")
                assert LabelTable.read(saved).texts == (found.texts if any(found.texts or ()) else None), (
                    changed
                )
    assert read > 1


@pytest.mark.parametrize("name", FILES)
def test_mutated_label_files_are_read_or_refused_by_name(tmp_path, amount, name):
    content, path = FILES[name](), tmp_path / name
    count, seed = amount(TABLES // len(FILES))
    path.write_bytes(content)
    assert len(LabelTable.read(path, absent="unknown")) >= 2  # as it is, it can be read
    read = 0
    for number in range(count):
        given = mutated(content, random.Random(f"{name} {seed + number}"))
        path.write_bytes(given)
        with no_hang(given), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                table = LabelTable.read(path, absent="unknown")
            except Exception as error:
                refused_by_name(error, path, given)
                continue
            read += 1
            assert set(np.unique(table.labels)) <= {PRESENT, ABSENT, UNKNOWN}
            if name == "wide.csv":
                same_as_plainly_read(table, given)
            if name == "filled.csv" and readers.recognise(path) == "wide_csv":
                try:
                    assert FilledTable.load(path, absent="unknown").table.labels.shape == table.labels.shape
                except Exception as error:
                    refused_by_name(error, path, given)
    assert read > count // 50, "nearly nothing can be read: the mutations are too rough to test anything"


def same_as_plainly_read(table, content):
    """No cell differs from what the csv module and a dictionary say, wherever that table is wide as it was."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # another encoding, which a reader may know
        return
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    names = [name.strip() for name in rows[0]]
    if names[:1] != ["image"] or not {*table.classes} <= {*names}:
        return
    codes = {"1": PRESENT, "0": ABSENT, "": UNKNOWN}
    said = {}
    for row in rows[1:]:
        for cls in table.classes:
            label = codes.get(row[names.index(cls)].strip())
            before = said.get((row[0].strip(), cls), UNKNOWN)
            said[row[0].strip(), cls] = before if label == UNKNOWN else label
    for row, image in enumerate(table.images):
        for column, cls in enumerate(table.classes):
            expected = said.get((image, cls))
            assert expected is None or expected == table.labels[row, column], (image, cls, content)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_mutated_images_are_decoded_or_refused_by_name(tmp_path, amount, format):
    noise = np.random.RandomState(0).randint(0, 255, (24, 36, 3), np.uint8)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif, "progressive": True} if format == "JPEG" else {}
    Image.fromarray(noise).save(file, format, **options)
    path = tmp_path / "a.jpg"
    count, seed = amount(IMAGES // 7)
    for number in range(count):
        given = mutated(file.getvalue(), random.Random(f"{format} {seed + number}"))
        path.write_bytes(given)
        with no_hang(given), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert decode(path, at_least=32).mode == "RGB"
            except OSError as error:
                refused_by_name(error, path, given)

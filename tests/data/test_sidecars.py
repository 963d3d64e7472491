"""Keywords in `.xmp` files beside photos: added, found by other programs, and nothing else is touched."""

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from partlabel import LabelTable
from partlabel.data import writers
from partlabel.data.sidecars import with_keywords, write_sidecars

LIGHTROOM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lightroom="http://ns.adobe.com/lightroom/1.0/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   xmp:Rating="4" crs:Exposure2012="+0.35">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">At the &quot;lake&quot; &amp; shore</rdf:li></rdf:Alt></dc:title>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>heron</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lightroom:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>animal|bird|heron</rdf:li>
    </rdf:Bag>
   </lightroom:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
ATTRIBUTES = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<r:Description r:about="a/b>c" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/></r:RDF></x:xmpmeta>'
)
DIGIKAM = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:digiKam="http://www.digikam.org/ns/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/" digiKam:PickLabel="0">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>boat</rdf:li>
     <rdf:li>animal/dog</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
   <dc:subject><rdf:Bag><rdf:li>boat</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>boat</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""
CLASSES = ("animal|bird|heron", "animal|dog", "boat", 'R&D "x"')


@pytest.fixture
def table(tmp_path):
    """Three photos: a sidecar of Lightroom, one of attributes alone, and none."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "a.xmp").write_text(LIGHTROOM, encoding="utf-8")
    (tmp_path / "b.jpg.xmp").write_text(ATTRIBUTES)
    labels = np.array([[1, 1, 1, 0], [0, 0, 1, 1], [-1, 1, -1, -1]], np.int8)
    return LabelTable(("a.jpg", "b.jpg", "c.jpg"), CLASSES, labels, root=tmp_path)


def test_present_labels_are_added_and_read_again_and_all_else_stays_byte_for_byte(table, tmp_path):
    assert write_sidecars(table, tmp_path) == 3
    again = LabelTable.read(tmp_path, format="keywords", absent="negative", hierarchy="path", classes=CLASSES)
    assert again.labels.tolist() == [[1, 1, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
    added = r"<rdf:li>(animal\|dog|dog|boat)</rdf:li>"
    written = (tmp_path / "a.xmp").read_text(encoding="utf-8")
    assert re.sub(added, "", written) == LIGHTROOM
    assert len(re.findall(added, written)) == 3
    assert '<r:Description r:about="a/b>c"' in (tmp_path / "b.jpg.xmp").read_text()
    assert write_sidecars(table, tmp_path) == 0
    assert not (tmp_path / "a.jpg.xmp").exists() and (tmp_path / "c.jpg.xmp").exists()


def listed(text, space, name):
    """Return the kind of list of a property and its items, by a parser of XML."""
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    (found,) = ElementTree.fromstring(text.encode()).iter(f"{{{space}}}{name}")
    (items,) = found
    return items.tag.removeprefix(rdf), [item.text for item in items]


def test_the_list_of_digikam_is_continued_where_a_file_has_it(tmp_path):
    file, names = tmp_path / "a.jpg.xmp", ["animal|bird|heron", "animal|dog", "boat", "on/off", "R&D"]
    after = with_keywords(DIGIKAM.encode(), names, file).decode()
    spaces = {prefix: space for prefix, space in re.findall(r'xmlns:(\w+)="([^"]*)"', DIGIKAM)}
    tags = ["boat", "animal/dog", "animal/bird/heron", "R&D"]
    assert listed(after, spaces["digiKam"], "TagsList") == ("Seq", tags)
    assert listed(after, spaces["dc"], "subject") == ("Bag", ["boat", "heron", "on/off", "R&D"])
    assert listed(after, spaces["lr"], "hierarchicalSubject") == ("Bag", ["boat", "animal|bird|heron"])
    added = r"<rdf:li>(animal/bird/heron|animal\|bird\|heron|heron|on/off|R&amp;D)</rdf:li>"
    assert re.sub(added, "", after) == DIGIKAM and len(re.findall(added, after)) == 6
    assert with_keywords(after.encode(), names, file).decode() == after
    assert "TagsList" not in with_keywords(LIGHTROOM.encode(), names, file).decode()
    alone = DIGIKAM.replace(re.search(r"<rdf:Seq>.*</rdf:Seq>", DIGIKAM, re.DOTALL)[0], "<rdf:Seq/>")
    found = with_keywords(alone.encode(), ["boat"], file).decode()
    assert listed(found, spaces["digiKam"], "TagsList") == ("Seq", ["boat"])


def test_one_damaged_file_leaves_all_files_as_they_are(table, tmp_path):
    (tmp_path / "c.xmp").write_bytes(b"<a")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"c\.xmp: not XMP"):
        write_sidecars(table, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_is_no_xmp_is_named_and_left_alone(tmp_path):
    for packet in (b"<a", b"<a/>", b'<?xml version="1.0" encoding="latin-1"?><a>\xe9</a>'):
        with pytest.raises(ValueError, match=r"a\.xmp: .*XMP.*move it away to start a new one"):
            with_keywords(packet, ["dog"], tmp_path / "a.xmp")


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_finds_the_keywords_and_the_same_other_tags(table, tmp_path):
    def tags(name):
        typed = [
            "exiftool",
            "-json",
            "-struct",
            "-G1",
            "-x",
            "File:all",
            "-x",
            "System:all",
            str(tmp_path / name),
        ]
        return json.loads(subprocess.run(typed, check=True, capture_output=True).stdout)[0]

    before = tags("a.xmp")
    writers.write(table, tmp_path, "xmp")
    after = tags("a.xmp")
    assert after.pop("XMP-dc:Subject") == ["heron", "dog", "boat"]
    assert after.pop("XMP-lr:HierarchicalSubject") == ["animal|bird|heron", "animal|dog"]
    assert after == {name: value for name, value in before.items() if "Subject" not in name}
    assert tags("b.jpg.xmp")["XMP-dc:Subject"] == ["boat", 'R&D "x"']
    (tmp_path / "a.xmp").write_text(DIGIKAM)
    writers.write(table, tmp_path, "xmp")
    assert tags("a.xmp")["XMP-digiKam:TagsList"] == ["boat", "animal/dog", "animal/bird/heron"]

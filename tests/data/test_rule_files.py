"""Files of rules: one form per reader, found beside a table, with errors that name the line."""

import json

import pytest
from PIL import Image

from partlabel.core.column_rules import ColumnRules
from partlabel.data import rules

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:lr="http://ns.adobe.com/lightroom/1.0/"><lr:hierarchicalSubject><rdf:Bag>'
    "<rdf:li>animal|pet|dog</rdf:li></rdf:Bag></lr:hierarchicalSubject></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def said(found):
    return [str(rule) for rule in found.rules]


def test_yaml(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "# a comment\nimplies:\n  puppy: [dog]\n  dog: animal\nexcludes: [day, night]\none_of: [[indoor, outdoor]]\n"
        "adds: [animal]\n"
    )
    found = rules.read(path)
    assert said(found) == ["puppy => dog", "dog => animal", "day excludes night", "one of indoor, outdoor"]
    assert [rule.line for rule in found.rules] == [3, 4, 5, 6] and found.adds == ("animal",)
    assert rules.beside(tmp_path / "labels.csv") == found and rules.beside(tmp_path) == found
    assert rules.beside(tmp_path / "labels.csv", "none") is None
    assert rules.beside(tmp_path / "elsewhere" / "labels.csv") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "implies: {a: [b]}\nimpls: {}",
            r"rules.yaml, line 2: there is no key 'impls' \(did you mean 'implies'\?\)",
        ),
        ("implies: [a]", "line 1: names with values are expected here"),
        ("implies: {a: [[b]]}", "line 1: the name of a class is expected here"),
        (
            "excludes: {a: b}",
            r"line 1: excludes takes lists of classes, such as excludes: \[\[day, night\]\]",
        ),
        ("implies: {a: [b]", "rules.yaml is not YAML"),
        ("implies:\n  a: [b]\n  b: [a]", "line 2: rules go in a circle: a => b => a; remove one of them"),
    ],
)
def test_what_is_wrong_in_yaml_is_told_with_its_line(tmp_path, text, message):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        rules.read(path)


def test_indented_text(tmp_path):
    path = tmp_path / "tags.txt"
    path.write_text("# tags\nanimal\n  dog\n    puppy\n  cat\n\nvehicle\n\tcar\n")
    assert said(rules.read(path)) == ["dog => animal", "puppy => dog", "cat => animal", "car => vehicle"]
    path.write_text("animal\n    dog\n  cat\n")
    with pytest.raises(
        ValueError, match=r"tags.txt, line 3: 'cat' is indented by 2 spaces, like no class above it"
    ):
        rules.read(path)


def test_open_images_with_and_without_names(tmp_path):
    dog = {"LabelName": "/m/dog", "Part": [{"LabelName": "/m/ear"}]}
    tree = {"LabelName": "/m/0bl9f", "Subcategory": [{"LabelName": "/m/animal", "Subcategory": [dog]}]}
    path = tmp_path / "bbox_labels_600_hierarchy.json"
    path.write_text(json.dumps(tree))
    assert said(rules.read(path)) == ["/m/dog => /m/animal"], "neither the class at the top, nor a part"
    (tmp_path / "class-descriptions-boxable.csv").write_text(
        "/m/dog,Dog\n/m/animal,Animal\n/m/0bl9f,Entity\n"
    )
    assert said(rules.read(path)) == ["Dog => Animal"]


def test_synsets(tmp_path):
    path = tmp_path / "synsets.csv"
    path.write_text(
        "synset,parent,name\ndog.n.01,canine.n.02,dog\ncanine.n.02,animal.n.01,\nanimal.n.01,,beast\n"
    )
    assert said(rules.read(path)) == ["dog => canine", "canine => beast"]
    path.write_text("synsets,parent\n")
    with pytest.raises(ValueError, match=r"line 1: there is no column 'synset' \(did you mean 'synsets'\?\)"):
        rules.read(path)


def test_label_studio(tmp_path):
    path = tmp_path / "config.xml"
    path.write_text(
        '<View><Taxonomy name="t" toName="i"><Choice value="animal"><Choice value="dog"/></Choice></Taxonomy>'
        '<Choices name="a" toName="i" choice="single" required="true"><Choice value="in"/>'
        '<Choice value="out"/></Choices>'
        '<Choices name="b" toName="i" choice="single"><Choice value="day"/><Choice value="night"/></Choices>'
        '<Choices name="c" toName="i" choice="multiple"><Choice value="x"/><Choice value="y"/></Choices></View>'
    )
    assert said(rules.read(path)) == ["dog => animal", "one of in, out", "day excludes night"]


def test_hierarchical_keywords(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="none of the 1 photos has a hierarchical keyword"):
        rules.read(tmp_path)
    (tmp_path / "a.xmp").write_text(XMP)
    found = rules.read(tmp_path)
    assert said(found) == ["pet => animal", "dog => pet"]
    assert ColumnRules(found, ("dog", "animal")).implied.tolist() == [[True, True], [False, True]]


def test_a_file_of_no_form_and_a_missing_file_are_told(tmp_path):
    (tmp_path / "rules.yaml").write_text("")
    assert not rules.read(tmp_path / "rules.yaml")
    with pytest.raises(FileNotFoundError, match=r"rules.yml \(did you mean 'rules.yaml'\?\)"):
        rules.read(tmp_path / "rules.yml")
    (tmp_path / "rules.doc").write_text("")
    with pytest.raises(ValueError, match=r"rules.doc has no known form of rules; write them as YAML"):
        rules.read(tmp_path / "rules.doc")

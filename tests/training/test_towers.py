"""Aligned towers: the fit, the files, the training of taggers with them."""

import json
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Targets
from partlabel.data import embedders
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.projections import Projections
from partlabel.training.towers.config import AlignmentConfig, EncoderConfig
from partlabel.training.towers.fitting import AlignmentPairs, chance, fit_projections, recall
from partlabel.training.towers.from_photos import align_photos
from partlabel.training.towers.tower import CONFIG, TENSORS, AlignedTower, Encoders
from partlabel.transfer.sources import Observed
from partlabel.transfer.teacher import Teacher

pytestmark = pytest.mark.filterwarnings("ignore:.*photos have no text", "ignore:.*never present")
SMALL = AlignmentConfig(dim=8, epochs=20, batch_size=32, lr=0.02, weight_decay=0.1, dropout=0.1)


def concepts(shuffled=False, seed=0):
    """Photos and sentences of two concepts, with noise; two sentences for every third photo."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.arange(120) % 2
    images = torch.randn(2, 10, generator=random)[truth] * 2 + torch.randn(120, 10, generator=random)
    photo = torch.tensor([row for row in range(120) for _ in range(2 if row % 3 == 0 else 1)])
    about = truth[torch.randperm(120, generator=random)] if shuffled else truth
    words = torch.randn(2, 6, generator=random)
    texts = normalize(words[about[photo]] + 0.3 * torch.randn(len(photo), 6, generator=random), dim=1)
    return AlignmentPairs(images, texts, photo), truth, normalize(words, dim=1)


def tower_of(projections):
    words = embedders.find("words")
    return AlignedTower(projections, Encoders("lite0", 32, "none", "words", words.version), {"photos": 3})


def test_a_tower_of_two_concepts_tells_them_apart():
    pairs, truth, words = concepts()
    fit = fit_projections(pairs, SMALL)
    with torch.no_grad():
        found = (fit.projections.image(pairs.images) @ fit.projections.text(words).T).argmax(1)
    assert (found == truth).float().mean() > 0.95
    assert max(fit.recalls) == fit.recalls[fit.epoch - 1] > fit.chance
    assert (fit.train, fit.val) == (108, 12)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_tower_of_shuffled_pairs_has_no_weight_in_the_teacher(shuffled):
    pairs, truth, words = concepts(shuffled)
    projections = fit_projections(pairs, SMALL).projections
    with torch.no_grad():
        scores = projections.image(pairs.images) @ projections.text(words).T
    labels = torch.where(torch.nn.functional.one_hot(truth, 2) > 0, PRESENT, ABSENT).to(torch.int8)
    weak = labels + torch.randn(120, 2, generator=torch.Generator().manual_seed(1))
    given = Observed(labels, Targets.known(labels), torch.arange(120) % 3, weak, zero_shot=scores)
    teacher = Teacher.of(given)
    teacher.fit(given)
    assert (teacher.weights["zero_shot"] == 0) == shuffled


def test_pairs_keep_the_texts_of_each_photo():
    pairs, _, _ = concepts()
    chosen = torch.tensor([5, 3, 0])
    some = pairs.rows(chosen)
    assert some.photo.tolist() == [0, 1, 1, 2, 2]
    torch.testing.assert_close(some.texts[1:3], pairs.texts[pairs.photo == 3])
    drawn = some.drawn(torch.Generator().manual_seed(0))
    for row, text in enumerate(drawn):
        assert any(torch.equal(text, each) for each in some.texts[some.photo == row])


def test_recall_counts_ranks_both_ways():
    projections = Projections(12, 12, 12)
    for linear in (projections.of_image, projections.of_text):
        linear.weight.data.copy_(torch.eye(12))
        linear.bias.data.zero_()
    pairs = AlignmentPairs(torch.eye(12), torch.eye(12), torch.arange(12))
    assert recall(projections, pairs) == 1.0
    assert chance(12) == pytest.approx((1 / 12 + 5 / 12 + 10 / 12) / 3)


def test_the_mean_over_places_has_the_direction_of_the_image():
    pairs, _, _ = concepts()
    tower = tower_of(fit_projections(pairs, SMALL).projections)
    maps = torch.randn(4, 10, 3, 5)
    places = tower.dense(maps)
    assert places.shape == (4, 8, 3, 5)
    torch.testing.assert_close(normalize(places.mean((2, 3)), dim=1), tower.image(maps.mean((2, 3))))


def test_a_saved_tower_is_the_tower(tmp_path):
    tower = tower_of(Projections(10, 2048, 8).eval())
    loaded = AlignedTower.load(tower.save(tmp_path / "tower"))
    features = torch.randn(3, 10)
    torch.testing.assert_close(
        loaded.similarity(features, ["cat", "dog"]), tower.similarity(features, ["cat", "dog"])
    )
    assert (loaded.encoders, loaded.fitted) == (tower.encoders, tower.fitted)
    assert loaded.classes(["traffic_light"]).norm() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda folder: (folder / TENSORS).write_bytes(b"no tensors"), TENSORS),
        (lambda folder: (folder / TENSORS).unlink(), TENSORS),
        (lambda folder: (folder / CONFIG).write_text("{"), CONFIG),
        (lambda folder: (folder / CONFIG).write_text('{"sizes": {}}'), CONFIG),
        (lambda folder: change(folder, "sizes", "image", 11), TENSORS),
        (lambda folder: change(folder, "sizes", "image", "10"), CONFIG),
        (lambda folder: change(folder, "encoders", "digest", 7), CONFIG),
    ],
)
def test_a_damaged_folder_is_refused_by_the_name_of_the_file(tmp_path, damage, names):
    tower_of(Projections(10, 2048, 8)).save(tmp_path)
    damage(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"{names}.*partlabel align"):
        AlignedTower.load(tmp_path)


def change(folder, part, name, value):
    about = json.loads((folder / CONFIG).read_text())
    about[part][name] = value
    (folder / CONFIG).write_text(json.dumps(about))


def test_another_version_of_the_embedder_is_refused():
    tower = tower_of(Projections(10, 2048, 8))
    other = replace(tower, encoders=replace(tower.encoders, version="0"))
    with pytest.raises(ValueError, match="aligned with the embedder words in version 0, and 1 is here"):
        other.text(["a cat"])


def test_too_few_photos_with_text_are_refused():
    pairs, _, _ = concepts()
    with pytest.raises(ValueError, match="3 photos with text are too few"):
        fit_projections(pairs.rows(torch.arange(3)), SMALL)


@pytest.fixture(scope="module")
def captioned(collection, tmp_path_factory):
    """The drawings with captions that name their classes, and a tower of them."""
    folder = tmp_path_factory.mktemp("captioned")
    table = LabelTable.read(collection / "labels.csv", images=collection / "photos")
    lines = [
        f"{image},a photo of {' and '.join(c for c, cell in zip(table.classes, row, strict=True) if cell == 1)} things"
        for image, row in zip(table.images, table.labels, strict=True)
    ]
    (folder / "captions.csv").write_text("\n".join(["image,caption", *lines]) + "\n")
    return table, folder


ENCODERS = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "32"]


def test_align_writes_a_tower_that_train_uses(captioned, collection, tmp_path, capsys):
    _, folder = captioned
    tower, images = str(tmp_path / "tower"), ["--images", str(collection / "photos")]
    typed = [
        "align",
        str(collection / "labels.csv"),
        *images,
        "--texts",
        str(folder / "captions.csv"),
        *ENCODERS,
    ]
    assert main([*typed, "--embedder", "words", "--epochs", "3", "--out", tower]) == 0
    said = capsys.readouterr().out
    assert "aligned on 22 photos; epoch" in said and "among 2 other photos" in said
    run = ["train", str(collection / "labels.csv"), *images, *ENCODERS, "--tower", tower, "--texts", "none"]
    assert main([*run, "--out", str(tmp_path / "run")]) == 0
    candidates = json.loads((tmp_path / "run/selection.json").read_text())["candidates"]
    assert {"evidence", "text_prior"} <= {each["method"] for each in candidates}
    assert main([*run, "--out", str(tmp_path / "b"), "--method", "bce", "--weight-decay", "0.1"]) == 2
    assert "a tower informs --method auto, evidence and text_prior" in capsys.readouterr().err


def test_a_table_without_labels_is_trained_by_the_names_alone(captioned, collection, tmp_path):
    table, _ = captioned
    lines = (collection / "labels.csv").read_text().splitlines()
    blank = [
        lines[0],
        *(",".join([*line.split(",")[:2], *[""] * len(table.classes)]) for line in lines[1:25]),
    ]
    (tmp_path / "labels.csv").write_text("\n".join(blank) + "\n")
    encoders = EncoderConfig("test_resnet", False, 32, None, "words")
    texts = tuple((f"photo {row}", "a red thing") for row in range(len(table)))
    align_photos(table.with_texts(texts), encoders, AlignmentConfig(epochs=1)).save(tmp_path / "tower")
    run = ["train", str(tmp_path / "labels.csv"), "--images", str(collection / "photos"), *ENCODERS]
    assert main([*run, "--tower", str(tmp_path / "tower"), "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run/selection.json").read_text())["winner"]["method"] == "evidence"


def test_photos_without_texts_are_not_aligned(captioned):
    table, _ = captioned
    with pytest.raises(ValueError, match="0 photos with text are too few"):
        align_photos(table, EncoderConfig("test_resnet", False, 32, None, "words"))

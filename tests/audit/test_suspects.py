"""Labels that are perhaps wrong: planted ones are found, by rules that can be checked by hand."""

import math
import shutil

import numpy as np
import pytest

from drawings import draw_photos
from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable, Tagger
from partlabel.audit import label_issues
from partlabel.cli.main import main
from partlabel.training.run_folder import Run

CLASSES = ("red", "green", "blue", "yellow")


def column(*values):
    return np.array(values, np.float64)[:, None]


def labels(*codes):
    return np.array(codes, np.int8)[:, None]


def test_a_margin_is_counted_from_what_is_typical_of_the_other_label():
    p = column(*[0.9] * 4, 0.4, *[0.2] * 4, 0.7, 0.99)
    said = labels(*[PRESENT] * 5, *[ABSENT] * 5, UNKNOWN)
    found = label_issues.margins(p, said, np.zeros(11, bool))[:, 0]
    odds = lambda p: math.log(p / (1 - p))  # noqa: E731
    present, absent = odds((4 * 0.9 + 0.4) / 5), odds((4 * 0.2 + 0.7) / 5)
    assert found[0] == pytest.approx(absent - odds(0.9))
    assert found[4] == pytest.approx(absent - odds(0.4)) and found[4] < 0
    assert found[9] == pytest.approx(odds(0.7) - present)
    assert found[10] == -math.inf


def test_images_trained_on_are_compared_among_themselves():
    p = column(*[0.99] * 5, *[0.01] * 4, 0.6, *[0.55] * 5, *[0.1] * 5)
    said = labels(*[PRESENT] * 5, *[ABSENT] * 5, *[PRESENT] * 5, *[ABSENT] * 5)
    seen = np.arange(20) < 10
    apart = label_issues.margins(p, said, seen)[:, 0]
    together = label_issues.margins(p, said, np.zeros(20, bool))[:, 0]
    assert apart[9] < together[9], "0.6 is much among others, and little among those with 0.99"


def test_without_enough_labels_to_compare_with_one_half_is_typical():
    p, said = column(0.9, 0.3, 0.8), labels(PRESENT, PRESENT, ABSENT)
    assert (label_issues.margins(p, said, np.zeros(3, bool))[:, 0] >= 0).tolist() == [False, True, True]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run on 120 drawings of which 12 labels are the opposite of what is drawn; half of them in training."""
    folder = tmp_path_factory.mktemp("planted")
    truth = draw_photos(folder / "photos", 120)
    random = np.random.RandomState(3)
    wrong = np.zeros(truth.shape, bool)
    for rows in (np.arange(80), np.arange(80, 120)):
        wrong[random.choice(rows, 6, replace=False), random.randint(4, size=6)] = True
    said = np.where(wrong, 1 - truth, truth).astype(np.int8)
    split = tuple("train" if row < 80 else "test" for row in range(120))
    images = tuple(f"{row:02}.png" for row in range(120))
    table = LabelTable(images, CLASSES, said, split, folder / "photos")
    table.save(folder / "labels.csv")
    small = {"backbone": "test_resnet", "pretrained": False, "image_size": 32, "trainable": "all"}
    tagger = Tagger(CLASSES, "bce", **small)
    how = {"epochs": 12, "batch_size": 16, "val": 0.0, "accelerator": "cpu", "lr": 0.01, "weight_decay": 0.02}
    tagger.fit(table, out=folder / "run", **how)
    return folder, table, wrong


def test_planted_labels_are_found_at_the_top(planted):
    folder, table, wrong = planted
    found = label_issues.find_label_issues(
        Tagger.load(folder / "run"), table, label_issues.trained_on(Run(folder / "run")), 20
    )
    assert (found.judged, found.seen) == (480, 320)
    assert found.number == len(found.first) and all(each.margin >= 0 for each in found.first)
    for each in found.first:
        row = table.images.index(each.image)
        assert each.seen == (row < 80)
        assert each.present == (table.labels[row, CLASSES.index(each.name)] == PRESENT)
    fair = sorted((each for each in found.first if not each.seen), key=lambda each: -each.margin)[:6]
    hits = [wrong[table.images.index(each.image), CLASSES.index(each.name)] for each in fair]
    assert sum(hits) >= 3 and np.mean(hits) > 0.6, "6 of 160 labels are wrong"


def test_inspect_names_and_shows_what_the_model_contradicts(planted, tmp_path, capsys):
    folder, table, _ = planted
    run = str(folder / "run")
    typed = ["inspect", str(folder / "labels.csv"), "--images", str(folder / "photos"), "--run", run]
    assert main([*typed, "--suspects", "2", "--out", str(tmp_path / "page.html")]) == 0
    said = capsys.readouterr().out
    found = label_issues.find_label_issues(Tagger.load(run), table, label_issues.trained_on(Run(run)), 2)
    assert (
        f"labels that bce@run contradicts: {found.number} of 480 known; 320 are of images that it was" in said
    )
    page = (tmp_path / "page.html").read_text()
    for each in found.first:
        assert any(each.image in line and f"{each.probability:.3f}" in line for line in said.splitlines())
        assert each.image in page and f"label: {'present' if each.present else 'absent'}" in page
    assert main(typed[:2] + typed[4:]) == 2
    assert "the model needs the images; give --images" in capsys.readouterr().err
    assert main([*typed, "--suspects", "0"]) == 2
    assert "of each class one label or more is named" in capsys.readouterr().err


def test_a_broken_image_is_left_out_and_a_run_without_a_table_says_less(planted, tmp_path, capsys):
    folder, table, _ = planted
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run/labels.parquet").unlink()
    (tmp_path / "photos").mkdir()
    for name in table.images[:8]:
        shutil.copy(folder / "photos" / name, tmp_path / "photos")
    (tmp_path / "photos/03.png").write_bytes(b"")
    LabelTable(table.images[:8], CLASSES, table.labels[:8]).save(tmp_path / "few.csv")
    typed = ["inspect", str(tmp_path / "few.csv"), "--images", str(tmp_path / "photos")]
    assert main([*typed, "--run", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert (
        "of 28 known; the images that it was trained on are not known" in said and "broken images: 1" in said
    )

"""From a trained tagger to a served answer: what `export` writes, `serve` reads, and both say the same."""

import numpy as np
import pytest

from drawings import COLOURS, draw_photos
from exported import served
from partlabel import Tagger
from partlabel.data.tables.label_table import LabelTable

pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'partlabel[export]'")


def test_a_served_export_says_what_the_tagger_predicts(tmp_path):
    from partlabel.deploy import graph_export
    from partlabel.deploy.serving.model import Model
    from partlabel.deploy.serving.service import Service

    labels = draw_photos(tmp_path / "photos", 24)
    names = tuple(sorted(path.name for path in (tmp_path / "photos").iterdir()))
    table = LabelTable(names, tuple(COLOURS), labels, None, tmp_path / "photos")
    # Photos have the model's size already, so that no resizing comes in between.
    tagger = Tagger(table.classes, "bce", backbone="test_resnet", pretrained=False, image_size=64)
    tagger.fit(table, out=tmp_path / "run", epochs=2, val=0.25)
    path = graph_export.to_onnx(tagger, tmp_path / "model.onnx")
    said = tagger.predict(tmp_path / "photos")
    files = [("files", (name, (tmp_path / "photos" / name).read_bytes())) for name in said["image"][:5]]
    with served(Service(Model.load(path, threads=1))) as client:
        answer = client.post("/predict", files=files).raise_for_status().json()
    for row, prediction in zip(said.head(5).iter_rows(named=True), answer["predictions"], strict=True):
        assert prediction["file"] == row["image"]
        found = {each["name"]: each["probability"] for each in prediction["classes"]}
        np.testing.assert_allclose(
            [found[name] for name in COLOURS], [row[name] for name in COLOURS], atol=1e-3
        )

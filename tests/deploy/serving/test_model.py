"""Exported files: what is read of them, what is said of others, and that pictures go in as evaluation has them."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from exported import COLOURS, SAYS, onnx, probability, write
from partlabel.core.types import Preprocessing
from partlabel.data.images import dataset, decode
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.uploads import squash


def test_a_file_says_what_its_classes_are(tmp_path):
    model = Model.load(write(tmp_path / "m.onnx", {"thresholds": [0.1, 0.2, 0.3]}))
    assert model.description.classes == list(COLOURS)
    assert [model.description.threshold(column) for column in range(3)] == [0.1, 0.2, 0.3]
    found = model.probability(np.array([[[[255, 0, 51]]]], np.uint8).repeat(8, 1).repeat(8, 2))
    assert found.tolist() == [pytest.approx(probability((255, 0, 51)), abs=1e-6)]


def test_files_that_differ_have_other_digests(tmp_path):
    one, same = (Model.load(write(tmp_path / name)).digest for name in ("a.onnx", "b.onnx"))
    other = Model.load(write(tmp_path / "c.onnx", {"name": "paint"})).digest
    assert one == same != other
    (tmp_path / "a.onnx.data").write_bytes(b"weights")
    assert Model.load(tmp_path / "a.onnx").digest != one


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("", r"does not describe its classes, so it was not written by `partlabel export`; export it again"),
        ("{", r"its description: Invalid JSON.*; export it again"),
        ({"format": 2}, r"this version reads format 1, and the file has another; upgrade partlabel, or export it"),
        ({"classes": []}, r"classes: List should have at least 1 item"),
        ({"image_size": "big"}, r"image_size: Input should be a valid integer"),
        ({"interpolation": "guess"}, r"interpolation: Input should be 'nearest', 'bilinear', 'bicubic' or 'lanczos'"),
        ({"thresholds": [0.5]}, r"its description: Value error, 1 thresholds for 3 classes"),
        ({"classes": ["a", "b"]}, r"returns probabilities of shape \[2, 3\] for 2 images and 2 classes"),
        ({"image_size": 9}, r"cannot be run on 2 images \(.*[Ii]nvalid dimensions"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_exported_is_refused_with_the_fix(tmp_path, says, message):
    path = write(tmp_path / "m.onnx", says)
    with pytest.raises(ValueError, match=rf"m\.onnx: {message}"):
        Model.load(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "m.onnx").write_text("weights")
    with pytest.raises(ValueError, match=r"m\.onnx: onnxruntime cannot read it \(.*; export it again"):
        Model.load(tmp_path / "m.onnx")
    with pytest.raises(FileNotFoundError, match=r"n\.onnx: there is no such file; export it again"):
        Model.load(tmp_path / "n.onnx")


def test_a_model_that_gives_no_numbers_is_refused(tmp_path):
    broken = [
        onnx.helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        onnx.helper.make_node("Flatten", ["pooled"], ["features"]),
        onnx.helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"]),
        onnx.helper.make_node("Neg", ["features"], ["below"]),
        onnx.helper.make_node("Sqrt", ["below"], ["probability"]),
    ]
    with pytest.raises(ValueError, match="or values that are not finite"):
        Model.load(write(tmp_path / "m.onnx", nodes=broken))


@pytest.mark.parametrize("size", [(640, 427), (100, 300), (7, 5), (1600, 1200)])
@pytest.mark.parametrize("side", [64, 224])
def test_a_picture_goes_in_as_evaluation_has_it(tmp_path, size, side):
    """A gradient with noise. Where a picture grows, Pillow and PyTorch may round differently in both passes."""
    random = np.random.RandomState(0)
    rough = np.linspace(0, 200, size[0])[None, :, None] + random.randint(0, 55, (size[1], size[0], 3))
    Image.fromarray(rough.astype(np.uint8)).save(tmp_path / "photo.jpg")
    model = Model(
        None, Model.load(write(tmp_path / "m.onnx")).description.model_copy(update={"image_size": side}), ""
    )
    found = squash(decode.decode(tmp_path / "photo.jpg", 2 * side), model.shape)
    transform = dataset.eval_transform(side, Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    expected = transform(pil_to_tensor(decode.decode(tmp_path / "photo.jpg", 2 * side)))
    difference = (torch.from_numpy(found.copy()).movedim(2, 0) / 255 - expected).abs() * 255
    assert difference.max() <= (1.01 if min(size) > side else 2.01)
    assert difference.mean() < 0.3


def test_a_server_needs_no_pytorch(tmp_path):
    write(tmp_path / "m.onnx")
    code = (
        "import sys; from pathlib import Path; from partlabel.deploy.serving.app import create; "
        "from partlabel.deploy.serving.model import Model; from partlabel.deploy.serving.service import Service; "
        f"create(Service(Model.load(Path({str(tmp_path / 'm.onnx')!r}))), Path('.')); "
        "print([name for name in ('torch', 'timm', 'lightning') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "[]\n"
    )


def test_what_a_file_says_of_itself_is_plain_json(tmp_path):
    """The contract with `partlabel export`."""
    (prop,) = onnx.load(write(tmp_path / "m.onnx")).metadata_props
    assert (prop.key, json.loads(prop.value)) == ("partlabel", SAYS)

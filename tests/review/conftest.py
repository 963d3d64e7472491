"""A review of drawings, with a model whose opinions are given."""

import numpy as np
import pytest

from drawings import COLOURS, draw_photos
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.review.decisions import DecisionLog
from partlabel.review.predictions_cache import Looked
from partlabel.review.session import Session

IMAGES = 12
CLASSES = tuple(COLOURS)


class Clock:
    """Time that a test moves on."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of drawings, what is in them, and a secret beside it."""
    folder = tmp_path_factory.mktemp("review")
    truth = draw_photos(folder / "photos", IMAGES)
    (folder / "secret.png").write_bytes((folder / "photos" / "00.png").read_bytes())
    return folder / "photos", truth


@pytest.fixture
def table(photos):
    """Four classes in twelve drawings, half of the labels unknown."""
    folder, truth = photos
    labels = np.where(np.random.RandomState(2).rand(*truth.shape) < 0.5, UNKNOWN, truth).astype(np.int8)
    return LabelTable(tuple(f"{n:02}.png" for n in range(IMAGES)), CLASSES, labels, root=folder)


@pytest.fixture
def looked():
    """Opinions and features, drawn by chance."""
    random = np.random.RandomState(0)
    features = random.randn(IMAGES, 8)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Looked(random.randn(IMAGES, len(CLASSES)).astype(np.float32), features.astype(np.float16))


@pytest.fixture
def session(table, looked, tmp_path):
    made = Session(table, looked, DecisionLog(tmp_path / "decisions.sqlite"))
    yield made
    made.decisions.close()


@pytest.fixture
def log(tmp_path):
    """A log of decisions with leases of a minute, and a clock that a test moves on."""
    decisions = DecisionLog(tmp_path / "decisions.sqlite", lease=60.0, clock=Clock())
    yield decisions
    decisions.close()

"""What the description promises holds for whatever Schemathesis thinks of sending."""

import warnings

import pytest

from exported import served, write
from partlabel.deploy.serving.model import Model
from partlabel.deploy.serving.service import Service

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed: pip install 'partlabel[dev]'"
)

OPERATIONS = [
    ("POST", "/predict"),
    ("GET", "/classes"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/label-studio/health"),
    ("POST", "/label-studio/setup"),
    ("POST", "/label-studio/predict"),
    ("POST", "/label-studio/webhook"),
]
FITTING = [(*each, "POSITIVE") for each in OPERATIONS]
UNFITTING = [(*each, "NEGATIVE") for each in OPERATIONS if each[0] == "POST"]


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    service = Service(Model.load(write(folder / "m.onnx"), threads=1))
    with served(service, label_studio_files=folder) as client:
        yield schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


def test_all_operations_are_described(description):
    found = {(each.ok().method.upper(), each.ok().path) for each in description.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path", "mode"), [*FITTING, *UNFITTING])
def test_schemathesis_finds_nothing(description, method, path, mode):
    """What fits may be refused all the same: no schema says that bytes are a picture, or a text a configuration."""
    from hypothesis import HealthCheck, Phase, given, settings

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=description[path][method].as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
    def answers_as_described(case):
        case.call_and_validate(excluded_checks=[valid] if method == "POST" else None)

    valid = schemathesis.checks.positive_data_acceptance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers_as_described()

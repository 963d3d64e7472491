"""The request behind a folder of results, in its `request.json`: results of another request are never continued."""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from partlabel.core.files import read_json, write_json
from partlabel.core.messages import some
from partlabel.sharded.job import Job
from partlabel.training.run_folder import Run

REQUEST = "request.json"
DIGEST = 8
_OTHERWISE = dict.fromkeys(("input", "images"), "its images or known labels were different")
_OTHERWISE |= {"model": "the model was a different one"}


def request_of(job: Job) -> dict[str, Any]:
    """Return what results depend on, except the input."""
    run, state = Run(job.run), blake2b(digest_size=DIGEST)
    for path in (run.config, run.weights, run.completion, run.tuning):
        state.update(path.read_bytes() if path.exists() else b"")
    asked = {"verb": job.verb, "model": state.hexdigest(), "accept": job.accept, "reject": job.reject}
    if job.precision is not None:
        asked |= {"precision": job.precision, "precision_of": job.precision_of}
    return asked | ({"decide": True} if job.decide else {})


def begun(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Return whether the folder holds results of this request; half-written files of a killed process are deleted.

    Raises:
        ValueError: It holds results of another request, or other files.
    """
    request = folder / REQUEST
    if request.exists():
        _check_same(
            folder, {name: value for name, value in read_json(request).items() if name in asked}, asked
        )
    elif folder.exists():
        strange = sorted(
            each.name for each in folder.iterdir() if each.name != "input" and ".part." not in each.name
        )
        if strange:
            raise ValueError(f"{folder} holds other files: {some(strange)}; give another out (--out)")
    unsettled = () if request.exists() else folder.glob("input/*.parquet")
    for half in (*folder.glob(".*.part.*"), *folder.glob("input/.*.part.*"), *unsettled):
        half.unlink()
    return request.exists()


def settle(folder: Path, request: Mapping[str, Any]) -> None:
    """Write the request, or check that the folder holds the same one.

    Raises:
        ValueError: It holds another request.
    """
    path = folder / REQUEST
    if path.exists():
        _check_same(folder, read_json(path), request)
    else:
        write_json(path, request)


def _check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        _OTHERWISE.get(name, f"{name} was {before.get(name)} and is {now.get(name)}")
        for name in (*now, *(before.keys() - now.keys()))
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise ValueError(
            f"{folder} holds shards of another request: {'; '.join(dict.fromkeys(changed))}. Repeat that request, or "
            "give another out (--out)"
        )

"""Ray: a cluster on this machine makes what one process makes; what is killed is replaced, or goes on where it stopped.

One cluster of one core serves all tests: starting it takes seconds, and so does every worker, which imports PyTorch.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

import polars as pl
import pytest
from test_shards import same, saved, together  # noqa: F401

import faulty_job
from partlabel import Tagger, sharded
from partlabel.cli.main import main
from partlabel.sharded.engines.local import Local
from partlabel.sharded.engines.ray import Ray

if find_spec("ray") is None:
    pytest.skip("Ray Data is not installed: pip install 'partlabel[ray]'", allow_module_level=True)

pytestmark = pytest.mark.slow
COUNT = 32


@pytest.fixture(scope="module")
def cluster():
    """The engine's own cluster, of one core; its address, for other processes."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(faulty_job)  # workers do not find the tests
    with started() as cluster:
        yield cluster


@contextmanager
def started(attempts=2):
    """Start Ray; it gives up where its own processes take more than 20 seconds to start, on a busy machine."""
    import ray

    with ExitStack() as stack:
        for left in reversed(range(attempts)):
            try:
                stack.enter_context(Ray(workers=1)._cluster())
                break
            except OSError:
                ray.shutdown()
                if not left:
                    raise
        yield ray.get_runtime_context().gcs_address


def failing(saved, out):  # noqa: F811
    return faulty_job.FaultyJob("predict", saved, out, asking=os.getpid())


def test_a_killed_worker_is_replaced_and_faults_are_told_as_by_one_process(
    saved,  # noqa: F811
    collection,
    tmp_path,
    cluster,
):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for path in (collection / "photos").iterdir():
        os.link(path, photos / path.name)
    (photos / "32.png").write_bytes(b"no picture")
    (tmp_path / faulty_job.KILLED).touch()
    with pytest.raises(ValueError, match=r"(?s)1 of 7 shards failed.*32\.png: not an image"):
        sharded.run(failing(saved, out), sharded.of_path(photos), Ray(5, workers=1))
    assert not (tmp_path / faulty_job.KILLED).exists(), "a worker was killed"
    same(together(out), Tagger.load(saved).predict(collection / "photos")[:30])


def test_a_full_disk_stops_the_whole_and_another_engine_goes_on(saved, collection, tmp_path, cluster):  # noqa: F811
    job, photos = failing(saved, tmp_path / "out"), sharded.of_path(collection / "photos")
    sharded.run(job, photos, Local(10))
    missing = [tmp_path / f"out/{name}.parquet" for name in ("000000000010", "000000000030")]
    before = [pl.read_parquet(path) for path in missing]
    for path in missing:
        path.unlink()
    (tmp_path / faulty_job.FULL).touch()
    with pytest.raises(OSError, match=r"No space left on device.*0000000000[13]0\.parquet"):
        sharded.run(job, photos, Ray(10, workers=1))
    assert not any(path.exists() for path in missing)
    (tmp_path / faulty_job.FULL).unlink()
    assert sharded.run(job, photos, Ray(10, workers=1)) == (tmp_path / "out", 4, 2, 12)
    for path, expected in zip(missing, before, strict=True):
        same(pl.read_parquet(path), expected)


def test_a_command_goes_on_after_a_kill(saved, collection, tmp_path, cluster):  # noqa: F811
    out, photos = tmp_path / "out", collection / "photos"
    words = ["predict", str(saved), str(photos), "--out", str(out), "--engine", "ray"]
    words += ["--engine.shard_size", "1", "--engine.workers", "1"]
    command = [sys.executable, "-m", "partlabel", *words, "--engine.address", cluster]
    killed = subprocess.Popen(command, start_new_session=True)
    try:
        until = time.monotonic() + 120  # a busy machine starts a worker slowly
        while time.monotonic() < until:
            if len(before := list(out.glob("0*.parquet"))) >= 3 or killed.poll() is not None:
                break
            time.sleep(0.02)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert killed.returncode == -signal.SIGKILL and 3 <= len(before) < COUNT
    times = {path: path.stat().st_mtime_ns for path in before}
    assert main(words) == 0
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    same(together(out), Tagger.load(saved).predict(photos))

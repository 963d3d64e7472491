"""Ray: a cluster on this machine makes what one process makes, and goes on where a killed one stopped."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import polars as pl
import pytest
from test_shards import asked, same, saved, together  # noqa: F401

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
    """One core, for all tests that need not start their own."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=1, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_cluster_predicts_what_one_process_predicts(saved, collection, tmp_path, cluster):  # noqa: F811
    photos = collection / "photos"
    done = sharded.run(asked(saved, tmp_path / "out"), sharded.of_path(photos), Ray(5, workers=1))
    assert done == (tmp_path / "out", 7, 0, COUNT)
    same(together(tmp_path / "out"), Tagger.load(saved).predict(photos))


def test_engines_go_on_with_each_others_shards(saved, collection, tmp_path, cluster):  # noqa: F811
    source = sharded.of_path(collection / "labels.csv", collection / "photos")
    job = asked(saved, tmp_path / "out", "fill", accept=0.6)
    sharded.run(job, source, Local(10))
    for name in ("000000000010", "000000000030"):
        (tmp_path / f"out/{name}.parquet").rename(tmp_path / f"{name}.parquet")
    assert sharded.run(job, source, Ray(10, workers=1)) == (tmp_path / "out", 4, 2, 12)
    for name in ("000000000010", "000000000030"):
        same(*(pl.read_parquet(folder / f"{name}.parquet") for folder in (tmp_path / "out", tmp_path)))


def test_faults_are_told_as_by_one_process(saved, collection, tmp_path, cluster):  # noqa: F811
    photos = tmp_path / "photos"
    photos.mkdir()
    os.link(collection / "photos/00.png", photos / "00.png")
    (photos / "01.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"(?s)1 of 2 shards failed.*01\.png: not an image"):
        sharded.run(asked(saved, tmp_path / "out"), sharded.of_path(photos), Ray(1, workers=1))
    assert together(tmp_path / "out")["image"].to_list() == ["00.png"]


def test_a_full_disk_or_a_lost_shard_stops_the_whole(saved, tmp_path, cluster):  # noqa: F811
    job = sharded.Job("predict", saved, tmp_path / "out", shards=tmp_path)
    with pytest.raises(OSError, match=r"gone\.parquet"):
        list(Ray(workers=1).run(job, ["gone.parquet"]))


def test_the_command_line_starts_a_cluster_and_goes_on_after_a_kill(saved, collection, tmp_path):  # noqa: F811
    out, photos = tmp_path / "out", collection / "photos"
    words = ["predict", str(saved), str(photos), "--out", str(out), "--engine", "ray"]
    words += ["--engine.shard_size", "1", "--engine.workers", "1"]
    killed = subprocess.Popen([sys.executable, "-m", "partlabel", *words], start_new_session=True)
    try:
        until = time.monotonic() + 300  # a busy machine starts a cluster slowly
        while time.monotonic() < until:
            if len(before := list(out.glob("0*.parquet"))) >= 3 or killed.poll() is not None:
                break
            time.sleep(0.05)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert killed.returncode == -signal.SIGKILL and 3 <= len(before) < COUNT
    times = {path: path.stat().st_mtime_ns for path in before}
    assert main(words) == 0
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    same(together(out), Tagger.load(saved).predict(photos))

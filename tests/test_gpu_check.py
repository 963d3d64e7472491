"""`make gpu-check`: its whole programme, but for pytest within pytest, in tiny sizes on a CPU."""

import csv
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu_check
import head


@pytest.mark.slow
def test_every_part_yields_its_figures(tmp_path, capsys, monkeypatch):
    for name in ("CHANNELS", "DIM", "NARROW", "WORD"):
        monkeypatch.setattr(head, name, 8)
    monkeypatch.setattr(head.FeatureMaps, "channels", 8)
    out = tmp_path / "gpu.csv"
    parts = [name for name in gpu_check.PARTS if name != "tests"]
    rows = gpu_check.run(parts, gpu_check.SMALL, torch.device("cpu"), out)
    assert [row.note for row in rows if row.measure == "error"] == []
    with out.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    figures = {(row.case, row.measure): row for row in rows}
    for arm in ("ours float32", "ours bf16", "ours compiled", "ours compiled bf16"):
        assert figures[f"8 classes, {arm}", "times as fast as published"].value > 0, arm
    assert figures["8 classes", "gradients apart, float64"].value < 1e-5
    for method in ("ssgrl", "sst", "sarb", "hst"):
        assert figures[f"{method}, bf16-mixed", "images a second"].value > 0
        assert figures[f"{method}, bf16-mixed", "aten::nonzero a step"].value == 0
    assert "photos a second" in capsys.readouterr().out

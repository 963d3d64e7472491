"""The wheel and the source distribution hold all that the package reads when it runs."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = (".yaml", ".html", ".css", ".js", ".svg", ".md", ".txt")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and a source distribution, as `python -m build` makes them."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,), (source,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, source


@pytest.mark.slow
def test_wheel_and_source_hold_every_file_of_the_package(built):
    wheel, source = built
    wanted = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/partlabel").rglob("*")
        if path.is_file() and (path.suffix == ".py" or path.suffix in DATA)
    }
    assert any(name.endswith("recipes/best.yaml") for name in wanted)
    with zipfile.ZipFile(wheel) as archive:
        assert wanted <= set(archive.namelist())
    with tarfile.open(source) as archive:
        held = {name.partition("/src/")[2] for name in archive.getnames()}
    assert wanted <= held


@pytest.mark.slow
def test_the_wheel_runs_from_an_empty_folder(built, tmp_path):
    """Installed without dependencies, which this environment has: commands, recipes and templates are there."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), str(built[0])],
        check=True,
        capture_output=True,
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import partlabel; "
        f"assert partlabel.__file__.startswith({str(tmp_path)!r}), partlabel.__file__; "
        "from partlabel.cli.main import main; from partlabel.cli.configurations import recipes; "
        "from partlabel.reporting.jinja import templates; "
        "assert 'best' in recipes(); templates().get_template('report.html'); "
        "sys.exit(main(['demo', '--help']))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "--scenes" in run.stdout

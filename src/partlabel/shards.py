"""Prediction and filling in shards, for collections too large for one table: shards in, shards out.

A folder of photos or a label table is cut once into shards of so many rows; parquet tables and tar files (webdataset)
in a folder are shards as they are. Each shard is worked on alone and written to a file of its own, aside and then
renamed. So a file that is there is done, and the same command after a kill does what is left. The folder `out`:

====================  ============================================================================================
request.json          what is asked of every shard; shards of another request are refused
input/<row>.parquet   the input, cut: images and known labels from that row on
<row>.parquet         what was found in them, as `Tagger.predict` or `FilledTable.save` has it; named as the input
====================  ============================================================================================

Nothing is held but one shard, the names of all, and eight bytes an image while the input is cut.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from partlabel.codes import ABSENT, PRESENT, UNKNOWN
from partlabel.data import wide
from partlabel.data.images import NoneReadable
from partlabel.data.parts import aligned
from partlabel.data.readers import folder as image_folder
from partlabel.data.readers import wide_csv
from partlabel.data.readers.folder import SUFFIXES
from partlabel.data.table import Absent, LabelTable, frozen
from partlabel.engines import Engine
from partlabel.progress import track
from partlabel.run import Run, digest, read_json, write_json
from partlabel.text import did_you_mean, some

if TYPE_CHECKING:
    from partlabel.tagger import Tagger

Verb = Literal["predict", "fill"]
REQUEST = "request.json"
TARS = (".tar", ".tar.gz", ".tgz")
DIGITS = 12
_DIGEST = 8
_OTHERWISE = dict.fromkeys(("input", "images"), "its images or known labels were others")
_OTHERWISE |= {"model": "the model was another"}


@dataclass(frozen=True)
class Rows:
    """Input that is to be cut.

    Attributes:
        root: The image folder.
        tables: From a number of rows to tables of so many, always the same ones in the same order.
    """

    root: Path
    tables: Callable[[int], Iterator[LabelTable]]


@dataclass(frozen=True)
class Files:
    """Input that comes in shards.

    Attributes:
        root: The image folder of parquet tables; tar files hold their images.
        paths: Of the shards, in one folder.
    """

    root: Path
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Job:
    """What is done to every shard, in terms that another process understands.

    Attributes:
        verb: `predict` or `fill`.
        run: The run's folder.
        out: The folder that results go to.
        root: The image folder.
        shards: The folder of the shards.
        accept: As `Tagger.fill`.
        reject: As `Tagger.fill`.
        decide: Whether to predict as `Tagger.decide` does.
        batch_size: Images at a time.
        workers: Processes that read images, for each that predicts.
        skip_broken: Leave out images that cannot be read.
    """

    verb: Verb
    run: Path
    out: Path
    root: Path = Path()
    shards: Path = Path()
    accept: float | Literal["tuned"] | None = None
    reject: float | Literal["tuned"] | None = None
    decide: bool = False
    batch_size: int = 64
    workers: int = 0
    skip_broken: bool = False

    def result(self, shard: str) -> Path:
        """The file that a shard's result is written to."""
        return self.out / f"{Path(shard).stem}.parquet"


class Outcome(NamedTuple):
    """What came of a shard.

    Attributes:
        shard: Its name.
        images: In its result.
        fault: What is wrong with its images or labels, so that there is no result; empty if nothing is.
    """

    shard: str
    images: int
    fault: str


class Done(NamedTuple):
    """What came of a request.

    Attributes:
        out: The folder of the results.
        shards: How many there are.
        kept: Of them, those that had been done before.
        images: In the results made now.
    """

    out: Path
    shards: int
    kept: int
    images: int


class Worker:
    """Works on shards; loads the model once.

    Args:
        job: What to do.
        device: Where the model is.
    """

    def __init__(self, job: Job, device: str = "cpu") -> None:
        from partlabel.tagger import Tagger

        self.job = job
        self.tagger = Tagger.load(job.run).to(device)

    def __call__(self, shard: str) -> Outcome:
        """Write the result of a shard.

        Args:
            shard: Its name.

        Returns:
            What came of it. Faults of its images or labels are told, and other shards can go on; those of disk,
            network or program are raised.
        """
        try:
            with _opened(self.job.shards / shard, self.job.root, self.tagger.classes) as table:
                found = self._found(table)
        except ValueError as error:
            return Outcome(shard, 0, str(error))
        wide.write(found, self.job.result(shard))
        return Outcome(shard, len(found), "")

    def _found(self, table: LabelTable) -> pl.DataFrame:
        job, tagger = self.job, self.tagger
        how = {"batch_size": job.batch_size, "workers": job.workers, "skip_broken": job.skip_broken}
        try:
            if job.decide:
                return tagger.decide(table, **how).frame()  # type: ignore[arg-type]
            if job.verb == "predict":
                return tagger.predict(table, **how)  # type: ignore[arg-type]
            return tagger.fill(table, job.accept, job.reject, **how).frame()  # type: ignore[arg-type]
        except NoneReadable:
            return _nothing(job, tagger, table)


def run(job: Job, source: Rows | Files, engine: Engine) -> Done:
    """Have all shards of a source worked on that are not done yet.

    Args:
        job: What to do; its folder of shards and image folder are filled in here.
        source: On what.
        engine: By whom.

    Raises:
        ValueError: `out` holds shards of another request, or other things; images or labels of some shards are
            faulty: the message lists them, and the others are done.
        OSError: A folder cannot be read or written; there is no tagger in the run's folder.
    """
    from partlabel.tagger import Tagger

    tagger = Tagger.load(job.run)  # that there is one is seen before anything is cut
    if job.decide or "tuned" in (job.accept, job.reject):
        tagger.tuned()
    out = job.out
    names = _cut(job, source, engine.shard_size) if isinstance(source, Rows) else _listed(job, source)
    folder = out / "input" if isinstance(source, Rows) else source.paths[0].parent
    # Workers may have another working directory.
    run, root, there = job.run.absolute(), source.root.absolute(), folder.absolute()
    job = replace(job, run=run, out=out.absolute(), root=root, shards=there)
    left = [name for name in names if not _whole(job.result(name))]
    images, faults = 0, []
    for outcome in track(engine.run(job, left), "Shards", len(left)):
        images += outcome.images
        if outcome.fault:
            faults.append(f"  {outcome.shard}: {outcome.fault}")
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(names)} shards could not be done, the others are in {out}; mend these, and the "
            "same command does what is left:\n" + "\n".join(sorted(faults))
        )
    return Done(out, len(names), len(names) - len(left), images)


def of_table(table: LabelTable) -> Rows:
    """A table that is at hand, to be cut.

    Raises:
        ValueError: It has no image folder.
    """
    table.path(0)

    def cut(rows: int) -> Iterator[LabelTable]:
        return (table[at : at + rows] for at in range(0, len(table), rows))

    return Rows(Path(table.root or "."), cut)


def of_path(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    format: str = "auto",
    **options: Any,
) -> Rows | Files:
    """What a path names: shards, a folder of photos, or a label table, which is read a shard at a time if it is wide.

    Args:
        path: A folder of parquet tables or tar files, a tar file, a folder of photos, a photo, or what
            `LabelTable.read` takes.
        images: The image folder that the paths in tables start from; without it, the table's own.
        absent: As `LabelTable.read`.
        format: As `LabelTable.read`.
        **options: As `LabelTable.read`.

    Raises:
        ValueError: As `LabelTable.read`, or a folder holds shards of two kinds.
        FileNotFoundError: There is no such path.
        ImportError: webdataset, which reads tar files, is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if files := _files(path):
        return Files(images or path, files)
    if path.name.lower().endswith(SUFFIXES):
        from partlabel.tagger import table_of

        return of_table(table_of(path))
    if format in ("auto", "wide_csv") and wide_csv.recognises(path):
        return Rows(
            images or path.parent, lambda rows: wide_csv.tables(path, rows, images, absent, **options)
        )
    if format in ("auto", "folder") and path.is_dir() and image_folder.recognises(path):
        return Rows(path, lambda rows: _walked(path, rows))
    return of_table(LabelTable.read(path, images, format, absent, "keep", **options))


def _files(path: Path) -> tuple[Path, ...]:
    """The shards that a path names; none if it is something else."""
    if path.is_file():
        return _readable_tars(path) if path.name.endswith(TARS) else ()
    if not path.is_dir():
        return ()
    there = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    tars = tuple(each for each in there if each.name.endswith(TARS))
    tables = tuple(each for each in there if each.suffix == ".parquet")
    if tars and tables:
        raise ValueError(
            f"{path} holds both tar files and parquet tables; keep shards of one kind in a folder"
        )
    return _readable_tars(*tars) if tars else tables


def _readable_tars(*paths: Path) -> tuple[Path, ...]:
    if find_spec("webdataset") is None:
        raise ImportError("tar files need webdataset: pip install 'partlabel[ray]'")
    return paths


def _walked(folder: Path, rows: int) -> Iterator[LabelTable]:
    """A folder's photos, so many at a time."""
    photos = image_folder.walk(folder)
    while names := tuple(islice(photos, rows)):
        yield LabelTable(names, (), np.empty((len(names), 0), np.int8), root=folder)


def _cut(job: Job, source: Rows, size: int) -> list[str]:
    """Cut the input into `out/input`, or see that it is as it was when it was cut; the names of the shards."""
    if size < 1:
        raise ValueError(f"a shard has one image or more, not {size}")
    folder, asked = job.out, _asked(job) | {"shard_size": size}
    begun = _begun(folder, asked)
    names, total, hashes, images = [], blake2b(digest_size=_DIGEST), [], 0
    for table in _in_terms_of(job, source.tables(size)):
        names.append(f"{images:0{DIGITS}}.parquet")
        if not begun:
            table.save(folder / "input" / names[-1])
        total.update(digest(table).encode())
        hashes.append(_hashes(table))
        images += len(table)
    if not names:
        raise ValueError(f"{source.root} holds no image")
    if not begun:
        _refuse_repeated(source.tables(size), np.concatenate(hashes))
    _settle(folder, asked | {"input": total.hexdigest(), "images": images})
    return names


def _listed(job: Job, source: Files) -> list[str]:
    """See that the input is as it was, if there is a result of it; the names of the shards."""
    folder, names = job.out, [path.name for path in source.paths]
    if folder.resolve() == source.paths[0].parent.resolve():
        raise ValueError(
            f"the results would take the place of the shards in {folder}; give another out (--out)"
        )
    if len({job.result(name) for name in names}) < len(names):
        raise ValueError(
            f"{source.paths[0].parent}: two shards have the same name but for the suffix; rename one"
        )
    _begun(folder, _asked(job))
    sizes = json.dumps([(path.name, path.stat().st_size) for path in source.paths])
    _settle(folder, _asked(job) | {"input": blake2b(sizes.encode(), digest_size=_DIGEST).hexdigest()})
    return names


def _asked(job: Job) -> dict[str, Any]:
    """What results depend on, but for the input."""
    run, state = Run(job.run), blake2b(digest_size=_DIGEST)
    for path in (run.config, run.weights, run.completion, run.tuning):
        state.update(path.read_bytes() if path.exists() else b"")
    asked = {"verb": job.verb, "model": state.hexdigest(), "accept": job.accept, "reject": job.reject}
    return asked | ({"decide": True} if job.decide else {})


def _begun(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether the folder holds this request; what a killed process left half done is cleared away.

    Raises:
        ValueError: It holds another request, or something else.
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
            raise ValueError(f"{folder} holds other things: {some(strange)}; give another out (--out)")
    unsettled = () if request.exists() else folder.glob("input/*.parquet")
    for half in (*folder.glob(".*.part.*"), *folder.glob("input/.*.part.*"), *unsettled):
        half.unlink()
    return request.exists()


def _settle(folder: Path, request: Mapping[str, Any]) -> None:
    """Write what is asked, or see that it is what was asked."""
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
            f"{folder} holds shards of another request: {'; '.join(dict.fromkeys(changed))}. Ask for the same, or "
            "give another out (--out)"
        )


def _whole(path: Path) -> bool:
    """Whether a result is there, to its last byte."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def _in_terms_of(job: Job, tables: Iterator[LabelTable]) -> Iterator[LabelTable]:
    """Tables with what the verb looks at: images alone, or known labels in the order of the model's classes."""
    if job.verb == "predict":
        for table in tables:
            yield replace(table, classes=(), labels=table.labels[:, :0], split=None, origins=None)
    else:
        classes = read_json(Run(job.run).config)["classes"]
        for table in tables:
            yield aligned(table, classes)


def _hashes(table: LabelTable) -> np.ndarray:
    return pl.Series(table.images).hash(0).to_numpy()


def _refuse_repeated(tables: Iterator[LabelTable], hashes: np.ndarray) -> None:
    """See that no image is in two shards; where hashes say so, its name is looked for.

    Raises:
        ValueError: One is.
    """
    hashes.sort()
    twice = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(twice):
        return
    seen: set[str] = set()
    for table in tables:
        for row in np.flatnonzero(np.isin(_hashes(table), twice)).tolist():
            if table.images[row] in seen:
                raise ValueError(
                    f"image {table.images[row]!r} has rows in more than one shard; keep one row for each image"
                )
            seen.add(table.images[row])


@contextmanager
def _opened(shard: Path, root: Path, classes: Sequence[str]) -> Iterator[LabelTable]:
    """The table that a shard is, its images at hand."""
    if shard.name.endswith(TARS):
        with TemporaryDirectory(prefix="partlabel-") as folder:
            yield _unpacked(shard, Path(folder), classes)
    else:
        yield wide_csv.read(shard, root)


def _unpacked(shard: Path, folder: Path, classes: Sequence[str]) -> LabelTable:
    """A tar file's images, written to a folder, and the known labels that lie beside them.

    An image's name is that of the tar file, `/`, its own. Beside `0007.jpg`, `0007.json` may hold known labels:
    `{"labels": {"dog": 1, "cat": 0}}`; classes that it does not name, or names with null, are UNKNOWN.

    Raises:
        ValueError: There are no images, a name leaves the folder, or a label is none.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    images, labels = [], []
    with shard.open("rb") as file:
        for sample in group_by_keys(tar_file_expander([{"url": str(shard), "stream": file}]), lcase=False):
            suffix = next((name for name in sample if f".{name}".lower().endswith(SUFFIXES)), None)
            if suffix is None:
                continue
            image = f"{shard.name}/{sample['__key__']}.{suffix}"
            if not os.path.realpath(folder / image).startswith(os.path.realpath(folder) + os.sep):
                raise ValueError(f"{shard}: {image!r} leaves the folder that it is unpacked to; rename it")
            (folder / image).parent.mkdir(parents=True, exist_ok=True)
            (folder / image).write_bytes(sample[suffix])
            images.append(image)
            labels.append(_known(f"{shard}: {sample['__key__']}.json", sample.get("json"), classes))
    if not images:
        raise ValueError(f"{shard}: no image in it; looked for {', '.join(SUFFIXES)}")
    return LabelTable(tuple(images), tuple(classes), frozen(np.array(labels, np.int8)), root=folder)


def _known(where: str, text: bytes | None, classes: Sequence[str]) -> list[int]:
    """The labels that a sample's JSON has under `labels`."""
    codes = {1: PRESENT, 0: ABSENT, None: UNKNOWN}
    try:
        said = json.loads(text or b"{}").get("labels", {}).items()
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{where} is not as {{"labels": {{"dog": 1, "cat": 0}}}}: {error}') from error
    labels = [UNKNOWN] * len(classes)
    for name, label in said:
        if name not in classes:
            raise ValueError(f"{where}: class {name!r} is not in the model{did_you_mean(name, classes)}")
        if isinstance(label, list | dict) or label not in codes:
            raise ValueError(
                f"{where}: class {name!r} is {label!r}; write 1 (present), 0 (absent) or null (unknown)"
            )
        labels[classes.index(name)] = codes[label]
    return labels


def _nothing(job: Job, tagger: "Tagger", table: LabelTable) -> pl.DataFrame:
    """The result of a shard of which no image can be read: its columns, and no row."""
    from partlabel.data import filled

    if job.verb == "predict" and not job.decide:
        return pl.DataFrame(schema={"image": pl.String} | dict.fromkeys(tagger.classes, pl.Float32))
    if job.decide:
        blank = LabelTable(
            table.images[:1], tagger.classes, np.full((1, len(tagger.classes)), UNKNOWN, np.int8)
        )
    else:
        blank = aligned(table[:1], tagger.classes)
    return filled.fill(blank, np.zeros(blank.labels.shape, np.float32), model=tagger.name).frame().clear()

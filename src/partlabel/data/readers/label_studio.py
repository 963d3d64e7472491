"""Label Studio's JSON export of image classification with `<Choices choice="multiple">` or `<Taxonomy>`.

A task is submitted, skipped (`was_cancelled`) or not yet annotated. An unselected choice has a meaning only in
submitted tasks, and this meaning depends on the annotation guidelines: hence `absent`. Predictions are ignored unless
requested; then the choices selected in the predictions of tasks without annotations are known, and unselected ones are
not. Texts in a task's data (`text`, `caption`, ...) and those that annotators wrote into `<TextArea>` are kept.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import did_you_mean, some
from partlabel.data.images.paths import in_folder
from partlabel.data.readers import _hierarchy, _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._text_columns import strings_in, texts_of
from partlabel.data.tables.label_table import Absent, LabelTable

Disagree = Literal["unknown", "refuse"]
ABSENCE = {
    "unknown": "only ticked choices are known, unless there is a control for absent ones; unticked ones are unknown, "
    "as is all of skipped and unannotated tasks",
    "negative": "a choice that is not ticked in a submitted annotation is absent; all of skipped and unannotated tasks "
    "is unknown",
}


def recognises(path: Path) -> bool:
    """Return whether a file is JSON with a list of tasks."""
    return _json.kind(path) == "label_studio"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    image_key: str = "image",
    control: str | None = None,
    absent_control: str | None = None,
    disagree: Disagree = "unknown",
    predictions: bool = False,
    hierarchy: _hierarchy.Hierarchy = "leaf",
) -> LabelTable:
    """Read an export of the type "JSON" (not "JSON-MIN", which does not distinguish skipped from submitted tasks).

    Args:
        path: Export file.
        images: Image folder. For local files and cloud storage, the longest tail of the path that exists in it is used;
            for uploads, the name with or without the eight characters that Label Studio puts before it.
        absent: Meaning of an unselected choice in a submitted task; required unless there is an `absent_control`.
        classes: All choices in their order; by default those selected anywhere, in alphabetical order.
        image_key: Key of the image in a task's data.
        control: Name of the `<Choices>` with present classes, if there are several.
        absent_control: Name of the `<Choices>` with absent classes.
        disagree: Treatment of a class that some annotators of a task selected and others did not, if `absent` is
            `negative`: `unknown`, or `refuse` the file. An annotation marked as ground truth replaces the others.
        predictions: Whether tasks without any annotation use the choices selected in their last prediction.
        hierarchy: Levels of a taxonomy, or of nested choices, that are classes: the `leaf`, the leaf and its `parents`,
            or the whole `path`.

    Raises:
        ValueError: The file is not such an export, a task has no image, or annotators disagree.

    Warns:
        UserWarning: Nothing was selected in `absent_control` so far.
    """
    tasks = _json.load(path)
    if not isinstance(tasks, list):
        raise InputError(
            f"{path}: not a Label Studio export, which is a list of tasks; export as JSON",
            *_json.other_format(tasks),
        )
    if absent_control is None:
        require_absent(path, absent, "a choice that is not selected was rejected, or not considered")
    told_by_task, guessed = [], []
    for position, task in enumerate(tasks):
        last = _predicted(path, f"task {position + 1}", task) if predictions else None
        guessed.append(last is not None)
        told_by_task.append(_ticked(path, f"task {position + 1}", task) if last is None else [last])
    ticked = _named(path, told_by_task, hierarchy)
    if absent_control is not None:
        _check_absent_control(path, ticked, absent_control, control)
    control = _control(path, ticked, control, absent_control)
    found, is_mixed = [], any(guessed)
    for position, (task, annotations, guess) in enumerate(zip(tasks, ticked, guessed, strict=True)):
        where = f"task {position + 1}"
        data = _json.keyed(path, where, task, "data", dict)
        image = image_of(_json.keyed(path, f"{where}: data", data, image_key, str), images)
        present = [set(each.get(control, ())) for each in annotations]
        denied = [set(each.get(absent_control or "", ())) for each in annotations]
        rule = "unknown" if guess else absent  # a model that does not tick did not look
        merged = together(path, where, image, present, denied, rule, disagree)
        origin = ("label_studio:prediction" if guess else "label_studio:submitted") if is_mixed else ""
        texts = [*texts_of(data, [image_key]), *_written(task)]
        found.append(merged._replace(looked=merged.looked and not guess, origin=origin, texts=texts))
    return _names.table(path, found, classes, absent, images)


def _named(
    path: Path, ticked: list[Any], hierarchy: _hierarchy.Hierarchy
) -> list[list[dict[str, list[str]]]]:
    """Convert paths to class names, over all tasks."""
    paths = [of_control for task in ticked for each in task for of_control in each.values()]
    names = iter(_hierarchy.classes_of(path, paths, hierarchy))
    return [[{control: next(names) for control in each} for each in task] for task in ticked]


def _ticked(path: Path, where: str, task: Any) -> list[dict[str, list[_hierarchy.Levels]]]:
    """Return the selected choices of each submitted annotation by control; only of ground truth, if there is any."""
    if isinstance(task, dict) and "annotations" not in task and "completions" not in task:
        raise ValueError(
            f"{path}: {where} has no 'annotations'; is this JSON-MIN? It does not tell skipped tasks from submitted "
            "ones: export as JSON"
        )
    key = "completions" if isinstance(task, dict) and "annotations" not in task else "annotations"
    submitted = []
    for position, annotation in enumerate(_json.keyed(path, where, task, key, list)):
        place = f"{where}: {key}[{position}]"
        result = _json.keyed(path, place, annotation, "result", list)
        if not annotation.get("was_cancelled"):
            submitted.append((bool(annotation.get("ground_truth")), _of_result(path, place, result)))
    truths = [found for is_truth, found in submitted if is_truth]
    return truths or [found for _, found in submitted]


def _written(task: Any) -> list[str]:
    """Return the texts that annotators wrote into `<TextArea>` for the whole image, in submitted annotations."""
    annotations = task.get("annotations", task.get("completions")) or ()
    results = (each.get("result") for each in annotations if not each.get("was_cancelled"))
    written = (each for of_annotation in results for each in of_annotation if isinstance(each, dict))
    values = (each.get("value") for each in written if each.get("type") == "textarea")
    return [text for value in values if isinstance(value, dict) for text in strings_in(value.get("text"))]


def _predicted(path: Path, where: str, task: Any) -> dict[str, list[_hierarchy.Levels]] | None:
    """Return the choices selected in the last prediction of a task without annotations; None if there is none."""
    if not isinstance(task, dict) or task.get("annotations") or task.get("completions"):
        return None
    if not task.get("predictions"):
        return None
    last = _json.keyed(path, where, task, "predictions", list)[-1]
    place = f"{where}: predictions[{len(task['predictions']) - 1}]"
    return _of_result(path, place, _json.keyed(path, place, last, "result", list))


def _of_result(path: Path, where: str, result: list[Any]) -> dict[str, list[_hierarchy.Levels]]:
    found: dict[str, list[_hierarchy.Levels]] = {}
    for position, each in enumerate(result):
        if isinstance(each, dict) and each.get("type") in ("choices", "taxonomy"):
            place = f"{where}: result[{position}]"
            value = _json.keyed(path, place, each, "value", dict)
            name = _json.keyed(path, place, each, "from_name", str)
            kind = each["type"]
            listed = _json.keyed(path, f"{place}: value", value, kind, list)
            found.setdefault(name, []).extend(_paths_in(path, f"{place}: {kind}", listed))
    return found


def _paths_in(path: Path, where: str, listed: list[Any]) -> list[_hierarchy.Levels]:
    """Convert choices, which may be nested, and items of taxonomies to paths from the top to the leaf."""
    found = []
    for each in listed:
        names = each if isinstance(each, list) else [each]
        found.append(_hierarchy.levels(_json.names_in(path, where, names)))
    return [levels for levels in found if levels]


def _control(path: Path, ticked: list[Any], control: str | None, absent_control: str | None) -> str:
    """Return the control that lists present classes."""
    if control is not None:
        return _check_control(path, ticked, control)
    there = [name for name in _there(ticked) if name != absent_control]
    if len(there) > 1:
        raise InputError(
            f"{path}: several controls have choices: {some(map(repr, there))}; name the one of present classes with ",
            ReaderArgument("control", placeholder="NAME"),
            " (and the one of absent classes with ",
            ReaderArgument("absent_control", placeholder="NAME"),
            ")",
        )
    if not there and absent_control is None:
        raise ValueError(
            f"{path}: no submitted annotation has choices; this reader is for <Choices> and <Taxonomy>, not for regions"
        )
    return there[0] if there else ""


def _there(ticked: list[Any]) -> list[str]:
    """Return the controls with selected choices; an export does not name the others."""
    return sorted({control for task in ticked for each in task for control in each})


def _check_absent_control(path: Path, ticked: list[Any], name: str, control: str | None) -> None:
    """Check the name of the control; it may have no selected choice yet, but must not look like a mistyped name."""
    there = _there(ticked)
    if name in there:
        return
    problem = f"{path}: no choices were selected in a control {name!r}"
    meant = did_you_mean(name, {*there} - {control})
    listed = some(map(repr, there)) or "none"
    if meant:
        raise InputError(
            f"{problem}{meant}; there are: {listed}. If it is right, name the control of present classes with ",
            ReaderArgument("control", placeholder="NAME"),
        )
    warnings.warn(
        f"{problem} so far, so it makes nothing absent; the controls with selected choices are: {listed}",
        stacklevel=5,
    )


def _check_control(path: Path, ticked: list[Any], name: str) -> str:
    there = _there(ticked)
    if name not in there:
        raise ValueError(
            f"{path}: no choices were selected in a control {name!r}{did_you_mean(name, there)}; "
            f"there are: {some(map(repr, there))}"
        )
    return name


def together(
    path: Path,
    where: str,
    image: str,
    present: list[set[str]],
    denied: list[set[str]],
    absent: Absent | None,
    disagree: Disagree,
) -> _names.Found:
    """Combine the annotations of a task."""
    yes: set[str] = set().union(*present)
    no: set[str] = set().union(*denied)
    disputed = yes & no
    if absent == "negative" and present:
        disputed |= {name for name in yes if not all(name in each for each in present)}
    if disputed and (disagree == "refuse" or len(present) == 1):
        names = some(map(repr, sorted(disputed)))
        how = (
            "is both present and absent"
            if len(present) == 1
            else "is selected by some annotators but not by all"
        )
        raise ValueError(
            f"{path}: {where}, image {image!r}: class {names} {how}; "
            "review the task, or mark one annotation as ground truth"
        )
    return _names.Found(image, yes - disputed, no - disputed, bool(present), disputed, where)


def image_of(address: str, images: Path | None) -> str:
    """Return the address as `build` resolves it; for an upload, whose name has a prefix, the path."""
    return address if images is not None and "/data/upload/" not in address else local_path(address, images)


def local_path(address: str, images: Path | None) -> str:
    """Return the path of an image: for local storage `d=`, for an upload its name, else the path of the address."""
    parts = urlsplit(address)
    if parts.path.endswith("/data/local-files/"):
        return in_folder(images, parse_qs(parts.query).get("d", [""])[0].lstrip("/"))
    if not parts.scheme and "/data/upload/" not in parts.path:
        return in_folder(images, address)
    path = unquote(parts.path).lstrip("/")
    if "data/upload/" in path:
        name = PurePosixPath(path).name
        plain = re.sub(r"^[0-9a-f]{8}-", "", name)
        return name if images is not None and (images / name).is_file() else plain
    return in_folder(images, path)

"""A tagger in the shape of a model on the Hugging Face hub: weights, description and a card, in a folder.

======================  ==========================================================================
README.md               the model card: data, method, metrics on validation, thresholds; the licence is left to fill in
config.json             all that rebuilds the tagger, without paths of the machine it was trained on
model.safetensors       its weights; without what only training needs, unless that was asked for
completion.safetensors  what known labels of an image say of its unknown ones, where that helps
tuning.json             thresholds and calibration, where they were looked for
======================  ==========================================================================
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partlabel import __version__
from partlabel.core.citations import cite
from partlabel.core.files import folder_aside, read_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.result import Evaluation
from partlabel.reporting.jinja import templates
from partlabel.training.config import HERE_ONLY
from partlabel.training.recognizer import Recognizer
from partlabel.training.run_folder import Run

FILES = ("config.json", "model.safetensors", "completion.safetensors", "tuning.json")
"""What is fetched from the hub."""
CARD = "README.md"


def save_folder(
    tagger: Recognizer,
    folder: str | Path,
    with_training_state: bool = False,
    run: str | Path | None = None,
) -> Path:
    """Write the folder of a tagger; as `Tagger.save_pretrained`."""
    given = tagger if with_training_state or tagger.lean else tagger.for_prediction()
    trained = None if run is None else Run(run)
    if trained is not None and trained.folder.resolve() == Path(folder).resolve():
        raise ValueError(f"{folder} is the run itself; give the model a folder of its own")
    out = Path(folder)
    with folder_aside(out) as aside:
        given.save(aside, _description(given, trained))
        (aside / CARD).write_text(card(given, trained), encoding="utf-8")
        for name in FILES:  # of a model that was there before
            if out.exists() and not (aside / name).exists():
                (out / name).unlink(missing_ok=True)
    return out


def fetch(name: str | Path, **options: Any) -> Path:
    """The folder of that name, or else what a repository on the hub holds, in the hub's cache.

    Args:
        name: A folder, or `owner/name`.
        **options: As `huggingface_hub.snapshot_download`.

    Raises:
        OSError: There is no such folder and no such repository, or it cannot be reached.
    """
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(str(name), allow_patterns=list(FILES), **options))
    except HFValidationError as error:
        raise FileNotFoundError(
            f"there is no folder {name}, and it is no name of a repository on the Hugging Face hub (owner/name)"
        ) from error
    except OSError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise OSError(
            f"there is no folder {name}, and no such repository on the Hugging Face hub can be read: {reason}"
        ) from error


def card(tagger: Recognizer, run: Run | None = None) -> str:
    """The model card of a tagger.

    Args:
        tagger: Fitted, or loaded.
        run: Its run, for data, training and metrics; sections whose files are missing are left out.
    """
    description = {} if run is None or not run.config.exists() else read_json(run.config)
    table = LabelTable.read(run.labels, missing="keep") if run is not None and run.labels.exists() else None
    title, paper, _ = cite(type(tagger.model).__doc__ or "")
    pages = templates(autoescape=False, keep_trailing_newline=True)
    pages.filters |= {"cell": _cell, "percent": _percent}
    return pages.get_template("model_card.md").render(
        tagger=tagger,
        version=__version__,
        title=title,
        paper=paper,
        training=_training(description.get("training", {})),
        parts=() if table is None else [(name, table.part(name)) for name in table.parts],
        evaluation=Evaluation.load(run.validation) if run is not None and run.validation.exists() else None,
        tuning=tagger.tuning,
        remembers=_remembers(tagger),
    )


def _remembers(tagger: Recognizer) -> bool:
    """Whether what is saved holds features of images it was trained on; a method may be inside another."""
    from partlabel.transfer.feature_bank import FeatureMemory, ImageMemory

    if tagger.model is None:
        return False
    parts = tagger.model.named_modules()
    memories = [name for name, part in parts if isinstance(part, FeatureMemory | ImageMemory)]
    needed = tagger.model.predicts_with() if tagger.lean else memories
    return any(name == part or name.startswith(f"{part}.") for name in memories for part in needed)


def _description(tagger: Recognizer, run: Run | None) -> dict[str, Any]:
    """What rebuilds the tagger, and how it was trained; no path of this machine."""
    description = tagger.description()
    if words := description["tagger"]["words"]:  # they are among the weights
        description["tagger"] = description["tagger"] | {"words": Path(words).name}
    if run is not None and run.config.exists():
        description["training"] = _training(read_json(run.config).get("training", {}))
    return description


def _training(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in HERE_ONLY}


def _cell(text: object) -> str:
    """What may stand in a cell of a Markdown table, as it is."""
    plain = " ".join(str(text).split())
    for special in "\\|`*_<>[]":
        plain = plain.replace(special, f"\\{special}")
    return plain


def _percent(share: float | None) -> str:
    return "-" if share is None or share != share else f"{100 * share:.1f}"

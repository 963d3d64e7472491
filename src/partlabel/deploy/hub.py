"""Taggers in the layout of a model on the Hugging Face hub: weights, configuration and a model card, in a folder.

======================  ==========================================================================
README.md               model card: data, method, metrics on validation, thresholds; the licence is left to fill in
config.json             all that rebuilds the tagger, without paths of the machine it was trained on
model.safetensors       weights; without the state that only training needs, unless it was requested
completion.safetensors  weights by which known labels of an image inform its unknown ones, where that helps
tuning.json             thresholds and calibration, if `tune` was run
======================  ==========================================================================
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partlabel import __version__
from partlabel.core.citations import cite
from partlabel.core.errors import first_line
from partlabel.core.files import folder_aside, read_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.result import Evaluation
from partlabel.methods import Method
from partlabel.reporting.jinja import templates
from partlabel.training.config import HERE_ONLY
from partlabel.training.recognizer import Recognizer
from partlabel.training.run_folder import Run

FILES = ("config.json", "model.safetensors", "completion.safetensors", "tuning.json")
"""Files that are downloaded from the hub, and uploaded to it together with the card."""
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
        for name in FILES:  # left over from an earlier model
            if out.exists() and not (aside / name).exists():
                (out / name).unlink(missing_ok=True)
    return out


def fetch(name: str | Path, **options: Any) -> Path:
    """Return the folder of that name, else download a repository from the hub to the hub's cache.

    Args:
        name: Folder, or `owner/name`.
        **options: Passed to `huggingface_hub.snapshot_download`.

    Raises:
        OSError: There is no such folder and no such repository, or the hub cannot be reached.
    """
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(str(name), allow_patterns=list(FILES), **options))
    except HFValidationError as error:
        raise FileNotFoundError(
            f"there is no folder {name}, and it is not the name of a repository on the Hugging Face hub (owner/name)"
        ) from error
    except OSError as error:
        raise OSError(
            f"there is no folder {name}, and the Hugging Face hub repository of this name cannot be read: "
            f"{first_line(error)}"
        ) from error


def push(
    folder: Path,
    repo_id: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    replace_card: bool = False,
    create_pr: bool = False,
    commit_message: str = "Upload the model",
    token: str | bool | None = None,
) -> str:
    """Upload the folder of a tagger in one commit; as `Tagger.push_to_hub`.

    Args:
        folder: Folder that `save` wrote.
        repo_id: Repository, `owner/name`; created if it does not exist.
        revision: Branch; created if it does not exist. None: the main branch.
        private: Whether a new repository is private; None: the default of the owner.
        replace_card: Replace a model card that is in the repository already.
        create_pr: Open a pull request instead of committing to the branch.
        commit_message: First line of the commit message.
        token: Access token; None: the one that `hf auth login` stored.

    Returns:
        The address of the commit or of the pull request.

    Raises:
        ValueError: `repo_id` is not the name of a repository.
        OSError: The hub cannot be reached or refuses the upload.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    api = HfApi(token=token, library_name="partlabel", library_version=__version__)
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not create_pr:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        keep_card = not replace_card and api.file_exists(repo_id, CARD, revision=revision)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
            ignore_patterns=[CARD] if keep_card else None,
            delete_patterns=list(FILES),  # those of an earlier model that this one does not have
        )
    except HFValidationError as error:
        raise ValueError(f"{repo_id!r} is not the name of a hub repository (owner/name): {error}") from error
    except (
        Exception
    ) as error:  # HTTP errors of httpx or requests, depending on the version of huggingface_hub
        raise OSError(
            f"cannot upload to the Hugging Face hub repository {repo_id}: {first_line(error)}; a token with write "
            "access is needed: run hf auth login, or set HF_TOKEN"
        ) from error
    return str(commit.pr_url or commit.commit_url)


def card(tagger: Recognizer, run: Run | None = None) -> str:
    """Render the model card of a tagger.

    Args:
        tagger: Fitted, or loaded.
        run: Run of the tagger, for data, training and metrics; sections whose files are missing are left out.
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
        remembers=_remembers(tagger.model, tagger.lean),
    )


def _remembers(model: Method | None, lean: bool) -> bool:
    """Return whether the saved model contains features of training images; a method may wrap another."""
    if model is None:
        return False
    memories = model.memories()
    needed = model.predicts_with() if lean else memories
    return any(name == part or name.startswith(f"{part}.") for name in memories for part in needed)


def _description(tagger: Recognizer, run: Run | None) -> dict[str, Any]:
    """Return what rebuilds the tagger, and how it was trained, without paths of this machine."""
    description = tagger.description()
    if words := description["tagger"]["words"]:  # they are among the weights
        description["tagger"] = description["tagger"] | {"words": Path(words).name}
    if run is not None and run.config.exists():
        description["training"] = _training(read_json(run.config).get("training", {}))
    return description


def _training(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in HERE_ONLY}


def _cell(text: object) -> str:
    """Escape a text for a cell of a Markdown table."""
    plain = " ".join(str(text).split())
    for special in "\\|`*_<>[]":
        plain = plain.replace(special, f"\\{special}")
    return plain


def _percent(share: float | None) -> str:
    return "-" if share is None or share != share else f"{100 * share:.1f}"

"""A recogniser that is saved as a folder of the Hugging Face hub, uploaded and downloaded, as `partlabel.Tagger` is."""

from pathlib import Path
from typing import Any, TypeVar

from partlabel.training.editable import EditableRecognizer

R = TypeVar("R", bound="HubRecognizer")


class HubRecognizer(EditableRecognizer):
    """A recogniser with the functions of the hub.

    Arguments, attributes and errors are those of `partlabel.Tagger`.
    """

    def save_pretrained(
        self, folder: str | Path, with_training_state: bool = False, run: str | Path | None = None
    ) -> Path:
        """Write a folder as models on the Hugging Face hub have it, with a model card; `from_pretrained` reads it.

        Args:
            folder: Folder to write; it need not exist.
            with_training_state: Whether to keep state that prediction does not need, such as SST's feature bank.
            run: Run folder that the tagger comes from, for the model card.

        Raises:
            ValueError: The tagger is not fitted, or predicts otherwise without the training state.
        """
        from partlabel.deploy import hub

        return hub.save_folder(self, folder, with_training_state, run)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        with_training_state: bool = False,
        run: str | Path | None = None,
        **options: Any,
    ) -> str:
        """Upload the folder of `save_pretrained` to a repository on the Hugging Face hub.

        A model card that is in the repository already is kept, because its licence was filled in by hand, unless
        `replace_card` is given. Files of an earlier model are deleted in the same commit.

        Args:
            repo_id: Repository, `owner/name`; created if it does not exist.
            with_training_state: Whether to keep state that prediction does not need, such as SST's feature bank.
            run: Run folder that the tagger comes from, for the model card.
            **options: Options of `hub.push`: `revision`, `private`, `replace_card`, `create_pr`, `commit_message`,
                `token`.

        Returns:
            The address of the commit or of the pull request.

        Raises:
            ValueError: An error of `save_pretrained`, or `repo_id` is not the name of a repository.
            OSError: The hub cannot be reached or refuses the upload.
        """
        from tempfile import TemporaryDirectory

        from partlabel.deploy import hub

        with TemporaryDirectory(prefix="partlabel-") as folder:
            return hub.push(hub.save_folder(self, folder, with_training_state, run), repo_id, **options)

    @classmethod
    def from_pretrained(cls: type[R], name: str | Path, **options: Any) -> R:
        """Load a tagger from a folder, or else from a repository on the Hugging Face hub.

        Args:
            name: Folder that `save_pretrained`, `save` or a run wrote, or repository, `owner/name`.
            **options: Options of `huggingface_hub.snapshot_download`: `revision`, `token`, `cache_dir`,
                `local_files_only`.

        Raises:
            OSError: There is no such folder and no such repository, or it cannot be reached.
            ValueError: An error of `load`.
        """
        from partlabel.deploy import hub

        return cls.load(hub.fetch(name, **options))

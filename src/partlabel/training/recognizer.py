"""A specification with its network, which scores images, is saved and loaded; `partlabel.Tagger` adds training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float

from partlabel import __version__
from partlabel.core import errors, safe_loading
from partlabel.core.files import read_tensors
from partlabel.core.messages import some
from partlabel.core.rules import Rules
from partlabel.data.tables.label_table import LabelTable
from partlabel.methods import Method
from partlabel.nn import backbone as backbones
from partlabel.nn.backbones import full_name
from partlabel.nn.classes import Classes
from partlabel.selection.result import Selection
from partlabel.training.caching import Where, cache_of
from partlabel.training.composition import Composition
from partlabel.training.config import AUTO, Cache
from partlabel.training.description import read_description
from partlabel.training.evident import Evident
from partlabel.training.inference import scores
from partlabel.training.run_folder import Run
from partlabel.training.specification import CHOSEN

PREDICTION = "prediction"
"""Value of `state` in `config.json` where only the state that prediction needs is saved."""
R = TypeVar("R", bound="Recognizer")


class Recognizer(Evident):
    """Settings, network, and the other state that is saved with them.

    Arguments, attributes and errors are those of `partlabel.Tagger`.
    """

    def __init__(
        self,
        classes: Sequence[str],
        method: str = AUTO,
        method_args: Mapping[str, Any] | None = None,
        head: str | None = None,
        head_args: Mapping[str, Any] | None = None,
        backbone: str = backbones.LITE0,
        pretrained: bool | Literal["auto"] = "auto",
        trainable: backbones.Trainable = "none",
        image_size: int = 224,
        pool: int = 1,
        words: str | Path | None = None,
        weights: str | Path | None = None,
    ) -> None:
        settings = {
            "method": method,
            "method_args": dict(method_args or {}),
            "head": head,
            "head_args": dict(head_args or {}),
            "backbone": full_name(backbone),
            "trainable": trainable,
            "image_size": image_size,
            "pool": pool,
            "words": None if words is None else str(words),
        }
        super().__init__(classes, pretrained, settings, weights)
        self.recipe: str | None = None
        self.selection: Selection | None = None
        self.lean = False
        self.name = f"{method}@unnamed"

    def to(self: R, device: str | torch.device) -> R:
        """Move the network to a device, such as `cuda`."""
        self.fitted_model().to(device)
        return self

    def scores(
        self,
        table: LabelTable,
        batch_size: int = 64,
        workers: int = 0,
        cache: Cache | None = None,
        cache_dir: str | Path | None = None,
    ) -> Float[np.ndarray, "image class"]:
        """Compute the logits of every image of a table.

        Args:
            table: Label table with an image folder; its labels are not used.
            batch_size: Images per batch.
            workers: DataLoader worker processes; 0 loads in the main process.
            cache: `features` keeps the output of the backbone's frozen part in the cache; `none` decodes all images; by
                default images are decoded whose features are not in the cache.
            cache_dir: Folder of the feature cache; None for that of the training.

        Raises:
            OSError: An image cannot be read.
        """
        where = Where(cache != "none" and self.cache.used, cache_dir or self.cache.folder)
        return scores(self.fitted_model(), self.view, table, batch_size, workers, cache == "features", where)

    def description(self) -> dict[str, Any]:
        """Describe the tagger as `config.json` does: everything that rebuilds it, except the weights."""
        size, preprocessing = self.view
        return ({"state": PREDICTION} if self.lean else {}) | {
            "partlabel": __version__,
            "name": self.name,
            "classes": list(self.classes),
            "tagger": self.settings,
            "pretrained": self.pretrained,
            "weights": None if self.weights is None else Path(self.weights).name,
            "word_dim": self.word_dim,
            "rules": self.rules and self.rules.to_json(),
            **({} if self.composition is None else {"composition": self.composition.to_json()}),
            "preprocessing": {"resize": [size, size], "interpolation": "bicubic", **preprocessing._asdict()},
        }

    def save(self, folder: str | Path, description: Mapping[str, Any] | None = None) -> Path:
        """Write `config.json`, `model.safetensors` and what belongs to them (`run_folder.py`); `load` reads the folder.

        Args:
            folder: Folder to write; it need not exist.
            description: Content of `config.json`; None for `description()`.
        """
        from safetensors.torch import save_file

        from partlabel.core.files import atomic_write

        run, model = Run(folder), self.fitted_model()
        state = {
            name: value.cpu().clone(memory_format=torch.contiguous_format)
            for name, value in model.state_dict().items()
            if not self.lean or needs(model, name)
        }
        run.write_config(description or self.description())
        self.save_evidence(run)
        with atomic_write(run.weights) as aside:
            save_file(state, aside)
        return run.folder

    @classmethod
    def load(cls: type[R], folder: str | Path, trust: bool = False) -> R:
        """Load the tagger that `save`, or a run, wrote to a folder.

        Nothing is unpickled, there is no network access, and only code of installed packages is run.

        Args:
            folder: Folder of the model.
            trust: Whether to import its method and head also from the working directory and from the folder itself, and
                to build a backbone that timm loads from a hub (`hf-hub:owner/name`).

        Raises:
            FileNotFoundError: There is no tagger; the message says whether its run has not ended.
            ValueError: A file is damaged or does not fit the others; or the folder is not trusted, and its method or
                head is in no installed package, or its backbone is no plain name of a model.
        """
        from safetensors.torch import load_file

        run = Run(folder)
        if not run.config.exists():
            raise FileNotFoundError(f"{run.folder} holds no tagger: there is no config.json")
        if not run.weights.exists():
            raise FileNotFoundError(f"the run in {run.folder} has not ended: continue it by --resume")
        state = read_tensors(
            run.weights, load_file, "copy it again from where the model came from, or train again"
        )
        description = read_description(run.config, cls)
        parts = (description.get("composition") or {}).get("parts", [])
        named = [of.get(name) for of in (description["tagger"], *parts) for name in CHOSEN]
        if trust:
            safe_loading.import_typed(named, [Path.cwd(), run.folder])
        else:
            safe_loading.refuse_uninstalled(run.config, named, [Path.cwd(), run.folder])
            backbones.refuse_elsewhere(run.config, description["tagger"].get("backbone"))
        with errors.naming(run.config, "no tagger can be made of it"):
            try:
                tagger = cls.restored(description, state)
            except RuntimeError as error:
                raise ValueError(
                    f"{run.weights} does not fit {run.config}: {errors.on_one_line(error)}"
                ) from error
        tagger.cache = cache_of(description.get("training"), trust)
        tagger.load_evidence(run)
        return tagger

    @classmethod
    def restored(cls: type[R], description: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> R:
        """Rebuild a tagger from a description and weights.

        Raises:
            RuntimeError: They do not fit.
        """
        tagger = cls(description["classes"], **description["tagger"], pretrained=False)
        tagger.set_rules(Rules.from_json(description.get("rules") or {}))
        if description.get("composition"):
            tagger.composition = Composition.from_json(description["composition"])
        word_dim = description["word_dim"]
        vectors = None if word_dim is None else torch.zeros(len(tagger.classes), word_dim)
        model = tagger.build(Classes(tagger.classes, vectors))
        tagger.lean = description.get("state") == PREDICTION
        initial = model.state_dict() if tagger.lean else {}  # of state that is not saved
        left_out = {name: value for name, value in initial.items() if not needs(model, name)}
        model.load_state_dict({**left_out, **state})
        if lacking := [name for name in model.state_dict() if needs(model, name) and name not in state]:
            raise RuntimeError(f"it lacks {some(lacking)}")
        tagger.model, tagger.name = model.eval(), description["name"]
        return tagger

    def for_prediction(self: R) -> R:
        """Copy the tagger to the CPU, without the state that only training needs.

        Raises:
            ValueError: The copy predicts otherwise: `predicts_with` of the method names too little.
        """
        model = self.fitted_model()
        state = {name: value.cpu() for name, value in model.state_dict().items() if needs(model, name)}
        copy = self.restored(self.description() | {"state": PREDICTION}, state)
        copy.completion, copy.texts, copy.tuning = self.completion, self.texts, self.tuning
        copy.tower = self.tower
        size, device = self.view[0], next(model.parameters()).device
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            before, after = model(images.to(device)).cpu(), copy.fitted_model()(images)
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-4):
            raise ValueError(
                f"the predictions of {type(model).__name__} change without the training state; its `predicts_with` "
                "has to name all state that prediction needs"
            )
        return copy

    def start_from(self, folder: str | Path) -> None:
        """Take the weights of backbone and head from another run of the same settings."""
        other = type(self).load(folder)
        same = ("head", "head_args", "backbone", "trainable", "image_size", "pool", "words")
        self.check_same(other, folder, same)
        ours, theirs = self.fitted_model(), other.fitted_model()
        ours.backbone.load_state_dict(theirs.backbone.state_dict())
        ours.head.load_state_dict(theirs.head.state_dict())


def needs(model: Method, name: str) -> bool:
    """Return whether prediction needs the parameter or buffer of that name."""
    return any(name == part or name.startswith(f"{part}.") for part in model.predicts_with())

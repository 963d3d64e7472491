"""Command `export`: write a tagger for use without this package."""

from pathlib import Path
from typing import Literal

from partlabel.cli.commands._command import command
from partlabel.cli.parser import UsageError


@command("Use", with_model=True)
def export(
    run: Path,
    to: Literal["hub", "onnx", "torch"] = "onnx",
    out: Path | None = None,
    with_training_state: bool = False,
    push: str | None = None,
    private: bool = False,
    trust: bool = False,
) -> None:
    """Export a tagger: a folder for the Hugging Face hub, an ONNX file, or a torch.export program.

    Args:
        run: Run folder.
        to: `hub`: a folder with weights, configuration and a model card; `onnx`: a graph for any ONNX runtime; `torch`:
            a program of torch.export.
        out: Folder (hub) or file (.onnx, .pt2) to write; default: model, model.onnx or model.pt2.
        with_training_state: Keep what only training needs, such as SST's memory and pair head (hub only).
        push: With --to hub: repository on the Hugging Face hub (owner/name) to upload the folder to; created if it does
            not exist. A model card that is there already is kept.
        private: With --push: make a new repository private.
        trust: Also import the model's method and head from the working directory and from its own folder; default: from
            installed packages only.
    """
    from partlabel.deploy import graph_export, hub
    from partlabel.tagger import Tagger

    if with_training_state and to != "hub":
        raise UsageError(
            f"--with-training-state: an exported graph cannot be trained; leave the option out with --to {to}"
        )
    if push is not None and to != "hub":
        raise UsageError(f"--push {push}: only the hub folder is uploaded; give --to hub")
    tagger = Tagger.load(run, trust)
    if to == "hub":
        folder = tagger.save_pretrained(out or Path("model"), with_training_state, run)
        print(f"model in {folder}; fill in licence and data in {folder / 'README.md'}")
        if push is not None:
            print(f"uploaded: {hub.push(folder, push, private=private or None)}")
        return
    write, default = {
        "onnx": (graph_export.to_onnx, Path("model.onnx")),
        "torch": (graph_export.to_torch, Path("model.pt2")),
    }[to]
    path = write(tagger, out or default)
    side = tagger.view[0]
    print(
        f"{path}: image [batch, 3, {side}, {side}] to logits and probability of {len(tagger.classes):,} classes"
    )

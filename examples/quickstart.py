"""Cells of quickstart.ipynb, in a file that can be read, run and compared.

`python docs/notebook.py` converts it to the notebook and runs it. A cell begins with `# %%`; the comment in a cell
`# %% [markdown]` is its text.
"""

# %% [markdown]
# # Quickstart: partially labelled photos, a tagger, the unknown labels filled
#
# This notebook starts with photos and a label table in which most labels are unknown, trains a tagger, and fills the
# unknown labels. partlabel draws the photos, so that the ground truth is available and nothing is downloaded.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from partlabel import ABSENT, PRESENT, UNKNOWN, Tagger
from partlabel.core.files import read_json
from partlabel.demo import scenes
from partlabel.evaluation.metrics import precision_recall
from partlabel.training.run_folder import Run

plt.rcParams.update({"figure.dpi": 70, "font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
SCENES, EPOCHS = 500, 20
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## The table
#
# One row per image, one column per class, and three codes: PRESENT (1), ABSENT (0), UNKNOWN (-1; an empty cell in a
# file). The last fifth of the rows is the part `test`.

# %%
truth = scenes.draw(folder / "scenes", SCENES)
print(f"{len(truth)} images, {len(truth.classes)} classes; parts: {', '.join(truth.parts)}")


def photos(table, rows, captions, columns=6):
    """Show images of a table side by side."""
    height = -(-len(rows) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(1.5 * columns, 1.8 * height), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, row, caption in zip(axes.flat, rows, captions, strict=False):
        axis.imshow(Image.open(table.path(row)))
        axis.set_title(caption, fontsize=7)
    figure.tight_layout()
    plt.show()


def names_of(table, row):
    """List the classes present in an image, two names per line."""
    found = [name for name, code in zip(table.classes, table.labels[row], strict=True) if code == PRESENT]
    return ",\n".join(", ".join(found[at : at + 2]) for at in range(0, len(found), 2))


photos(truth, range(6), [names_of(truth, row) for row in range(6)])

# %% [markdown]
# ## Hiding
#
# To measure how well unknown labels are filled, known labels are hidden: here 70 % of those in the part `train`.
# `truth` keeps the ground truth.

# %%
table = truth.hide("uniform", part="train", known=0.3)
train = table.part("train")
print(f"known: {train.known:,} of {train.labels.size:,} training labels")
for name, code in (("present", PRESENT), ("absent", ABSENT), ("unknown", UNKNOWN)):
    print(f"{name:>8}: {(train.labels == code).sum():6,}")

# %% [markdown]
# ## Training
#
# In `soft_sst`, known labels of similar images are evidence for unknown ones. It is trained by steps here, to follow
# its pseudo-labels; without a method, cross-validation selects method and hyperparameters (docs/selection.md). `truth`
# is only used to evaluate the pseudo-labels, not for training.

# %%
tagger = Tagger(table.classes, "soft_sst", image_size=128)
tagger.fit(
    table,
    truth=truth,
    out=folder / "run",
    epochs=EPOCHS,
    weight_decay=0.02,
    cache="features",
    cache_dir=str(folder / "cache"),
)
evaluation = tagger.evaluate(table.part("test"))
print(f"test mAP {evaluation.map:.1%} over {len(evaluation.scored)} classes")

# %% [markdown]
# ## Precision and recall, class by class
#
# The three classes with the highest AP and the three with the lowest. With few positive test images, a curve has large
# steps.

# %%
test = table.part("test")
scores = tagger.scores(test)
ordered = sorted(evaluation.scored, key=lambda each: -each.ap)
figure, axes = plt.subplots(1, 6, figsize=(10, 1.9), sharey=True)
for axis, each in zip(axes, ordered[:3] + ordered[-3:], strict=True):
    column = table.classes.index(each.name)
    curve = precision_recall(scores[:, column], test.labels[:, column])
    axis.step(curve.recall, curve.precision, where="post")
    axis.set_title(f"{each.name}: AP {each.ap:.0%}")
    axis.set_xlabel("recall")
    axis.set_ylim(0, 1.02)
axes[0].set_ylabel("precision")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Pseudo-labels
#
# Precision: of the unknown labels with a pseudo-label of at least one half, the share whose ground truth is present.
# Recall: of the unknown labels whose ground truth is present, the share with such a pseudo-label.

# %%
history = read_json(Run(folder / "run").history)
epochs = [each["epoch"] for each in history if each["pseudo_labels"]]
figure, axis = plt.subplots(figsize=(4, 2))
for number in ("precision", "recall"):
    values = [each["pseudo_labels"]["cross"][number] for each in history if each["pseudo_labels"]]
    axis.plot(epochs, np.array(values, dtype=float), marker="o", markersize=3, label=number)
axis.set_xlabel("epoch")
axis.set_ylim(0, 1)
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Filling the unknown labels
#
# Every unknown label gets a probability; confident ones become labels, and every label has a source.

# %%
filled = tagger.fill(train, accept=0.9, reject=0.02)
new = (train.labels == UNKNOWN) & (filled.table.labels != UNKNOWN)
right = (filled.table.labels == truth.part("train").labels)[new]
print(f"{new.sum():,} of {train.unknown:,} unknown labels became known, {right.mean():.1%} of them correctly")
row, column = np.argwhere(train.labels == UNKNOWN)[0]
print(f"for example {train.images[row]}, {train.classes[column]}: {filled.source_of(row, column)}")

# %% [markdown]
# The unknown labels with the highest probabilities, one per class, and below them those with probabilities nearest to
# one half. In brackets: the ground truth.


# %%
def blanks(key):
    """Select six unknown labels with the smallest key, one per image and class, and write captions for their photos."""
    rows, columns = np.nonzero(train.labels == UNKNOWN)
    order = np.argsort(key(filled.probability[rows, columns]), kind="stable")
    chosen = {}
    for row, column in zip(rows[order], columns[order], strict=True):
        if len(chosen) < 6 and row not in chosen and column not in chosen.values():
            chosen[row] = column
    there = truth.part("train").labels
    captions = [
        f"{train.classes[column]} {filled.probability[row, column]:.0%}\n({'yes' if there[row, column] else 'no'})"
        for row, column in chosen.items()
    ]
    return list(chosen), captions


photos(train, *blanks(lambda probability: -probability))
photos(train, *blanks(lambda probability: abs(probability - 0.5)))

# %% [markdown]
# `filled.save("filled.csv")` writes the filled table. The run folder contains a report, `report.html`. For the next
# steps see [the tutorial](../docs/tutorial.md).

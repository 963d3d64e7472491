"""The cells of quickstart.ipynb, in a file that can be read, run and compared.

`python docs/notebook.py` makes the notebook of it and runs it. A cell begins with `# %%`; of `# %% [markdown]` the
comment is the text.
"""

# %% [markdown]
# # Quickstart: half-labelled photos, a tagger, the blanks filled in
#
# Photos with a table of what is on them, most of it unknown: how such a table looks, what is learned from it, and what
# becomes of the blanks. The photos are drawn by partlabel, so that the truth is known and nothing has to be fetched.

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
# A row an image, a column a class, and three codes: PRESENT (1), ABSENT (0), UNKNOWN (-1; a blank on disk). The last
# fifth of the rows is the part `test`.

# %%
truth = scenes.draw(folder / "scenes", SCENES)
print(f"{len(truth)} images, {len(truth.classes)} classes; parts: {', '.join(truth.parts)}")


def photos(table, rows, captions, columns=6):
    """Images of a table side by side."""
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
    """What is present in an image, two names a line."""
    found = [name for name, code in zip(table.classes, table.labels[row], strict=True) if code == PRESENT]
    return ",\n".join(", ".join(found[at : at + 2]) for at in range(0, len(found), 2))


photos(truth, range(6), [names_of(truth, row) for row in range(6)])

# %% [markdown]
# ## Hiding
#
# To know how well blanks are filled in, known labels are made blank on purpose: here seven of ten in the part `train`.
# `truth` stays as it is.

# %%
table = truth.hide("uniform", part="train", known=0.3)
train = table.part("train")
print(f"known: {train.known:,} of {train.labels.size:,} training labels")
for name, code in (("present", PRESENT), ("absent", ABSENT), ("unknown", UNKNOWN)):
    print(f"{name:>8}: {(train.labels == code).sum():6,}")

# %% [markdown]
# ## Training
#
# With `soft_sst`, known labels of similar images vote for unknown ones. It is trained by steps here, so that its
# pseudo-labels can be followed; without a method, `fit` finds settings by cross-validation. `truth` only
# measures the pseudo-labels; nothing is learned from it.

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
# The three best classes and the three worst. A class with few test images that show it has a ragged curve.

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
# Precision: the share that is truly present of the unknown labels which training took for more likely present than not.
# Recall: the share of those truly present that it found.

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
# ## The blanks, filled in
#
# Every blank has a probability; the sure ones become labels, and every cell says where it comes from.

# %%
filled = tagger.fill(train, accept=0.9, reject=0.02)
new = (train.labels == UNKNOWN) & (filled.table.labels != UNKNOWN)
right = (filled.table.labels == truth.part("train").labels)[new]
print(f"{new.sum():,} of {train.unknown:,} blanks became labels, {right.mean():.1%} of them rightly")
row, column = np.argwhere(train.labels == UNKNOWN)[0]
print(f"for example {train.images[row]}, {train.classes[column]}: {filled.source_of(row, column)}")

# %% [markdown]
# The surest blanks, one a class, and below them those of which the model is least sure. In brackets: what is true.


# %%
def blanks(key):
    """Six blanks with the smallest key, one an image and one a class, and what stands above their photos."""
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
# The filled table is `filled.save("filled.csv")`; the run's page is `report.html` in its folder. How to go on:
# [the tutorial](../docs/tutorial.md).

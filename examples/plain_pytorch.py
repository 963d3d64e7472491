"""SST in a plain PyTorch loop: no trainer and no run folder, only a method and its named loss terms.

python plain_pytorch.py labels.csv photos
"""

import sys

import torch
from torch.utils.data import DataLoader

from partlabel import LabelTable
from partlabel.data.images import ImageDataset, eval_transform, train_transform
from partlabel.data.statistics import cooccurrence
from partlabel.methods import Batch, Progress
from partlabel.methods.sst import SST
from partlabel.metrics import evaluate
from partlabel.nn import backbone
from partlabel.nn.classes import Classes
from partlabel.nn.heads.ssgrl import SSGRL


def main(labels: str, photos: str, epochs: int = 10, size: int = 224, batch_size: int = 16) -> float:
    """Train on the part `train` of a table; gives the mAP on its part `test`."""
    table = LabelTable.read(labels, images=photos)
    train, test = table.part("train"), table.part("test")
    classes = Classes(table.classes, graph=torch.from_numpy(cooccurrence(train.labels)))
    features = backbone.create("tf_efficientnet_lite0", image_size=size)
    head = SSGRL(features.channels, classes, dim=256, output_dim=256)
    method = SST(features, head, start_epoch=3, intra_threshold=0.9, cross_threshold=0.9)

    loader = DataLoader(ImageDataset(train, train_transform(size)), batch_size, shuffle=True)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-4)
    step = 0
    for epoch in range(epochs):
        method.train()
        for number, (images, known, index) in enumerate(loader):
            progress = Progress(epoch, step, number, len(loader), epochs)
            terms, pseudo_labels = method.step(Batch(images, known, index), progress)
            optimizer.zero_grad()
            sum(terms.values()).backward()
            optimizer.step()
            step += 1
        print(f"epoch {epoch}:", ", ".join(f"{name} {value:.3f}" for name, value in terms.items()))

    method.eval()
    with torch.no_grad():
        found = [
            method(images) for images, *_ in DataLoader(ImageDataset(test, eval_transform(size)), batch_size)
        ]
    evaluation = evaluate(torch.cat(found).numpy(), test.labels, test.classes)
    print(f"mAP {evaluation.map:.1%} over {len(evaluation.scored)} of {len(test.classes)} classes")
    return evaluation.map


if __name__ == "__main__":
    main(*sys.argv[1:3])

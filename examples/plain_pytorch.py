"""SST in a plain PyTorch training loop: a method and its named loss terms, without trainer or run folder.

python plain_pytorch.py labels.csv photos
"""

import sys

import torch

from partlabel import LabelTable
from partlabel.core.types import Progress
from partlabel.data.images.dataset import ImageDataset, eval_transform, train_transform
from partlabel.data.images.loader import loader
from partlabel.data.tables.statistics import cooccurrence
from partlabel.evaluation.metrics import evaluate
from partlabel.methods.sst import SST
from partlabel.nn import backbone
from partlabel.nn.classes import Classes
from partlabel.nn.heads.ssgrl import SSGRL


def main(labels: str, photos: str, epochs: int = 10, size: int = 224, batch_size: int = 16) -> float:
    """Train on the part `train` of a table and return the mAP on its part `test`."""
    table = LabelTable.read(labels, images=photos)
    train, test = table.part("train"), table.part("test")
    classes = Classes(table.classes, graph=torch.from_numpy(cooccurrence(train.labels)))
    features = backbone.create("tf_efficientnet_lite0", image_size=size)
    head = SSGRL(features.channels, classes, dim=256, output_dim=256)
    method = SST(features, head, start_epoch=3, intra_threshold=0.9, cross_threshold=0.9)

    plain, augment = (make(size, features.preprocessing) for make in (eval_transform, train_transform))
    batches = loader(ImageDataset(train, plain, augment, size), batch_size, shuffle=True)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-4)
    for epoch in range(epochs):
        method.train()
        batches.sampler.set_epoch(epoch)
        for number, batch in enumerate(batches):
            progress = Progress(epoch, epoch * len(batches) + number, number, len(batches), epochs)
            terms = method.step(batch, progress).terms
            optimizer.zero_grad()
            sum(terms.values()).backward()
            optimizer.step()
        print(f"epoch {epoch}:", ", ".join(f"{name} {value:.3f}" for name, value in terms.items()))

    method.eval()
    with torch.inference_mode():
        logits = torch.cat(
            [method(batch.inputs) for batch in loader(ImageDataset(test, plain, size=size), batch_size)]
        )
    evaluation = evaluate(logits.numpy(), test.labels, test.classes)
    print(f"mAP {evaluation.map:.1%} over {len(evaluation.scored)} of {len(test.classes)} classes")
    return evaluation.map


if __name__ == "__main__":
    main(*sys.argv[1:3])

"""The head of SST as its paper writes it, copies and all: what the folded algebra is compared with.

Written from the equations (docs/methods/sst.md), with the repetitions that a literal reading makes: every class beside
every place, every pair's two features side by side, every memory beside every asked label. It shares the parameters of
a folded `SST`, so that both must give the same numbers; the two habits of the authors' code that `SST` has as
arguments, `unknown_pairs_are_absent` and `count_empty_slots`, are on.
"""

import torch
from torch import Tensor, nn

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.core.types import Batch
from partlabel.methods.sst import SST
from partlabel.nn.pairs import pair_index


class LiteralSST(nn.Module):
    """Forward, pseudo-labels and losses of an SST without any identity used."""

    def __init__(self, sst: SST) -> None:
        super().__init__()
        self.sst = sst

    def features(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Class features and logits."""
        head = self.sst.head
        part, reduced = head.decoupling, head.reduce(feature_map)
        b, d, h, w = reduced.shape
        c = len(head.vectors)
        places = reduced.flatten(2).transpose(1, 2).reshape(b * h * w, d)
        repeated = places.view(b * h * w, 1, d).repeat(1, c, 1).view(-1, d)
        words = head.vectors.view(1, c, -1).repeat(b * h * w, 1, 1).view(b * h * w * c, -1)
        joint = part.fc4(part.fc3(torch.tanh(part.fc1(repeated) * part.fc2(words))))
        attention = joint.view(b, h * w, c).softmax(1)
        spread = attention.view(b * h * w, c, 1).repeat(1, 1, d).view(-1, d)
        features = (repeated * spread).view(b, h * w, c, d).sum(1)
        state = self._graph(features)
        out = torch.tanh(head.join(torch.cat([state, features], 2).view(b * c, -1))).view(b, c, -1)
        return features, (out * head.classifier.weight).sum(2) + head.classifier.bias

    def _graph(self, features: Tensor) -> Tensor:
        graph, (b, c, d) = self.sst.head.graph, features.shape
        w, wb = graph.message.weight.split(d), graph.message.bias.split(d)
        u, ub = graph.gates.weight.split(d), graph.gates.bias.split(d)
        a = graph.graph.repeat(b, 1, 1)
        h = features
        for _ in range(graph.steps):
            m = torch.cat([torch.bmm(a, h), torch.bmm(a.transpose(1, 2), h)], 2).view(b * c, -1)
            flat = h.reshape(b * c, -1)
            z = torch.sigmoid(m @ w[0].T + wb[0] + flat @ u[0].T + ub[0])
            r = torch.sigmoid(m @ w[1].T + wb[1] + flat @ u[1].T + ub[1])
            candidate = torch.tanh(m @ w[2].T + wb[2] + graph.candidate(r * flat))
            h = ((1 - z) * flat + z * candidate).view(b, c, d)
        return h

    def pairs(self, features: Tensor) -> Tensor:
        """Pair logits."""
        part, b = self.sst.pairs, len(features)
        first, second = pair_index(features.shape[1], features.device)
        g = part.fc1(features)
        both = torch.cat([g[:, first], g[:, second]], 2).view(b * len(first), -1)
        hidden = part.fc3(torch.relu(part.fc2(both))).view(b, len(first), -1)
        return (hidden * part.classifier.weight).sum(2) + part.classifier.bias

    def similarity(self, features: Tensor, labels: Labels) -> Tensor:
        """Mean cosine to the memory for every unknown label, 0 elsewhere."""
        bank = self.sst.memory.newest_first()
        image, cls = (labels == UNKNOWN).nonzero(as_tuple=True)
        asked = features[image, cls].unsqueeze(1).repeat(1, bank.shape[1], 1)
        cosine = torch.cosine_similarity(asked, bank[cls], dim=2).mean(1)
        score = features.new_zeros(labels.shape)
        score[image, cls] = cosine.to(score)
        return score

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the five loss terms (known, co-occurrence, contrast, intra, cross) at the initial thresholds."""
        features, logits = self.features(batch.inputs)
        pair_logits = self.pairs(features)
        sst, labels = self.sst, batch.labels
        first, second = pair_index(labels.shape[1], labels.device)
        truth = ((labels[:, first] == PRESENT) & (labels[:, second] == PRESENT)).float()
        p = pair_logits.sigmoid()
        q = (1 - p + 0.05).clamp(max=1)
        cooccurrence = -(
            truth * (1 - p) * p.clamp(min=1e-8).log() + (1 - truth) * (1 - q) ** 2 * q.clamp(min=1e-8).log()
        )
        sst.memory.add(features, labels)
        with torch.no_grad():
            matrix = torch.eye(labels.shape[1], dtype=p.dtype, device=p.device).repeat(len(labels), 1, 1)
            matrix[:, first, second] = matrix[:, second, first] = p
            present = (labels == PRESENT).float()
            intra = (matrix * present[:, None]).sum(2) / present.sum(1, keepdim=True).clamp(min=1)
            cross = self.similarity(features, labels)
        known = labels != UNKNOWN
        return {
            "bce": _bce(logits, present, known),
            "cooccurrence": 10 * cooccurrence.mean(),
            "contrast": 0.05 * sst.contrast(features, labels, torch.Generator(labels.device).manual_seed(0)),
            "bce_intra": _bce(logits, *_with(intra, present, labels, sst.thresholds["intra"].start)),
            "bce_cross": _bce(logits, *_with(cross, present, labels, sst.thresholds["cross"].start)),
        }


def _with(score: Tensor, present: Tensor, labels: Labels, threshold: float) -> tuple[Tensor, Tensor]:
    found = (score >= threshold) & (labels == UNKNOWN)
    return torch.where(found, 1.0, present), found | (labels != UNKNOWN)


def _bce(logits: Tensor, target: Tensor, said: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    each = -(target * (p + 1e-8).log() + (1 - target) * (1 - p + 1e-8).log())
    return each[said].sum() / said.sum().clamp(min=1)

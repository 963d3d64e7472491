"""Towers: a locked image encoder and a locked text encoder, aligned on pairs of photos and texts (docs/towers.md).

fitting.py        pairs of features in, projections out
tower.py          the aligned tower: vectors of images and sentences, saved and loaded
from_photos.py    photos with texts in, a tower out
zero_shot.py      scores of classes by their names, for the training of taggers
"""

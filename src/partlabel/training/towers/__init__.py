"""Towers: a locked image encoder and a locked text encoder, aligned on pairs of photos and texts (docs/towers.md).

fitting.py        pairs of features in, projections out
_base.py          what a tower is
tower.py          the aligned tower: vectors of images and sentences, saved and loaded
joint.py          image-text models as towers
loading.py        towers by what a user types
photos.py         features of photos for a tower
from_photos.py    photos with texts in, an aligned tower out
zero_shot.py      scores of classes by their names, in training, in filling and alone
"""

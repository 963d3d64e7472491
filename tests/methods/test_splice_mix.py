"""SpliceMix against loops over cells and labels."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.splice_mix import SpliceMix
from partlabel.transfer.image_splicing import cut_cells, parts, splice
from trunk import CLASSES, Same, batch, residual


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 2), (2, 3)])
def test_a_cell_holds_the_means_of_its_image(shape):
    count = shape[0] * shape[1]
    images = torch.randn(8, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    chosen = torch.randint(8, (3, count), generator=torch.Generator().manual_seed(1))
    kept = torch.arange(3 * count).view(3, count) % 4 != 1
    found = list(cut_cells(splice(images, chosen, kept, shape), shape))
    assert len(found) == count
    for cell in range(count):
        for grid in range(3):
            image = images[chosen[grid, cell]]
            wanted = image.mean((1, 2)) if kept[grid, cell] else images.mean((0, 2, 3))
            torch.testing.assert_close(found[cell][grid].mean((1, 2)), wanted)


def test_sides_that_cannot_be_divided_give_cells_of_two_lengths():
    assert parts(3, 2) == [1, 2] and parts(7, 3) == [2, 2, 3] and parts(4, 2) == [2, 2]
    grid = splice(
        torch.arange(9.0).view(1, 1, 3, 3), torch.zeros(1, 4, dtype=torch.int64), torch.ones(1, 4) > 0, (2, 2)
    )
    # One row of the image's mean over its rows, and two rows of it.
    assert grid[0, 0, 0, 0] == 4 and grid.shape == (1, 1, 3, 3)
    assert grid[0, 0, 1:, 0].tolist() == pytest.approx([2.5, 5.5])


def test_a_step_is_a_loop_over_grids_and_their_cells():
    model, given, seen = SpliceMix(Same(), residual(), consistency=0.5, dropped=0.5).eval(), batch(8), set()
    for step in range(12):
        progress = Progress(step=step, seed=1)
        grid = model.spliced(given, progress)
        assert len(grid.images) == 2 == len(grid.labels)
        seen.add((grid.shape, bool(grid.kept.all())))
        plain, costs, follows = model(given.inputs), [], []
        for n in range(2):
            shown = [k for k in range(len(grid.kept)) if grid.kept[k, n]]
            for c in range(CLASSES):
                heard = {int(given.labels[grid.partner[k, n], c]) for k in shown}
                expected = PRESENT if PRESENT in heard else UNKNOWN if UNKNOWN in heard else ABSENT
                assert grid.labels[n, c] == expected
            pieces = [piece[n : n + 1] for piece in cut_cells(grid.images, grid.shape)]
            for k in shown:
                wanted = plain[grid.partner[k, n]].sigmoid()
                follows += binary_cross_entropy_with_logits(
                    model(pieces[k])[0], wanted, reduction="none"
                ).tolist()
        logits, labels = torch.cat([plain, model(grid.images)]), torch.cat([given.labels, grid.labels])
        for z, y in zip(logits.flatten(), labels.flatten().tolist(), strict=True):
            if y != UNKNOWN:
                costs.append(binary_cross_entropy_with_logits(z, torch.tensor(float(y))).item())
        terms = model.step(given, progress).terms
        assert terms["bce"].item() == pytest.approx(sum(costs) / len(costs), rel=1e-4)
        assert terms["consistency"].item() == pytest.approx(0.5 * sum(follows) / len(follows), rel=1e-4)
    assert len(seen) > 4, "grids of several shapes, with and without empty cells"


def test_predictions_of_cells_leave_the_moments_of_the_head_as_they_are():
    model, given = SpliceMix(Same(), residual(), dropped=0.0), batch(8)
    model.train().cell_logits(given.inputs, (2, 2))
    assert model.head.standardise.num_batches_tracked == 0 and model.head.training


def test_what_holds_no_grid_is_refused():
    one = batch()._replace(inputs=torch.randn(6, 6, 1, 1))
    with pytest.raises(
        ValueError, match=r"the inputs have 1 x 1 places: take a smaller --pool, or .*--cache none"
    ):
        SpliceMix(Same(), residual()).step(one, Progress())
    with pytest.raises(ValueError, match=r"2 x 2 cells .* 2 x 1 places: .*or --method\.consistency 0"):
        SpliceMix(Same(), residual()).cell_logits(torch.randn(1, 6, 2, 1), (2, 2))
    with pytest.raises(
        ValueError, match=r"images_per_grid is 0 and dropped 0\.3; the first has to be at least 1"
    ):
        SpliceMix(Same(), residual(), images_per_grid=0)

import torch

from partlabel.transfer.label_store import ImageTable


def rows(*numbers):
    return torch.tensor(numbers)


def test_what_was_written_is_read_and_what_was_not_is_the_start():
    table = ImageTable(2, -1.0)
    table.write(rows(5, 2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert table.read(rows(2, 0, 5, 900)).tolist() == [[3, 4], [-1, -1], [1, 2], [-1, -1]]


def test_it_is_loaded_whatever_its_size():
    large, small = ImageTable(2, 0, torch.int8), ImageTable(2, 0, torch.int8)
    large.write(rows(7), torch.ones(1, 2))
    small.write(rows(1), torch.ones(1, 2))
    state = large.state_dict()
    small.load_state_dict(state)
    assert torch.equal(small.cells, large.cells) and small.cells.dtype == torch.int8
    large.load_state_dict(ImageTable(2, 0, torch.int8).state_dict())
    assert large.read(rows(7)).tolist() == [[0, 0]]


def test_it_grows_seldom():
    table, sizes = ImageTable(1, 0), set()
    for row in range(1000):
        table.write(rows(row), torch.ones(1, 1))
        sizes.add(len(table.cells))
    assert len(sizes) < 20
    assert max(sizes) < 1500


def test_reading_changes_nothing():
    table = ImageTable(1, 3)
    table.read(rows(5))
    assert len(table.cells) == 0


def test_with_places_for_all_images_it_does_not_grow():
    table = ImageTable(1, 3)
    table.write(rows(1), torch.ones(1, 1))
    table.reserve(6)
    assert table.read(rows(0, 1, 5)).flatten().tolist() == [3, 1, 3]
    table.write(rows(5), torch.ones(1, 1))
    assert len(table.cells) == 6

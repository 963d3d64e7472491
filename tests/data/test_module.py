"""Things made ahead come in order, with their errors, and no further than asked."""

import threading

import pytest

from partlabel.data.images.loader import ahead


def test_things_made_ahead_come_in_order_from_another_thread():
    makers = set()

    def things():
        for number in range(5):
            makers.add(threading.get_ident())
            yield number

    assert list(ahead(things())) == [0, 1, 2, 3, 4]
    assert len(makers) == 1 and threading.get_ident() not in makers
    assert list(ahead([])) == [] and list(ahead([None, 0])) == [None, 0]


def test_an_error_comes_when_its_turn_comes():
    def things():
        yield 1
        raise OSError("a photo is gone")

    made = ahead(things())
    assert next(made) == 1
    with pytest.raises(OSError, match="a photo is gone"):
        next(made)


def test_no_more_is_made_than_asked_and_nothing_once_it_is_left():
    made, before = [], set(threading.enumerate())
    things = ahead((made.append(number) or number for number in range(100)), depth=2)
    assert next(things) == 0
    things.close()
    assert len(made) <= 3 and made == list(range(len(made)))
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if thread.name.startswith("ThreadPoolExecutor")]

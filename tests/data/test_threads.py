"""Work in threads comes in order, with its errors, and goes no further than asked."""

import threading

import pytest

from partlabel.data.images.threads import ahead, in_threads


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


def test_several_threads_work_at_once_and_results_keep_their_order():
    both = threading.Barrier(2, timeout=10)  # passed only if two threads are inside at the same time

    def work(number):
        both.wait()
        return number, threading.get_ident()

    found = list(in_threads(work, range(8), 2))
    assert [number for number, _ in found] == list(range(8))
    assert len({thread for _, thread in found}) == 2


def test_one_thread_is_the_caller_itself():
    assert set(in_threads(lambda _: threading.get_ident(), range(3), 1)) == {threading.get_ident()}


def test_threads_stay_a_few_items_ahead_and_raise_errors_in_their_place():
    begun = []

    def work(number):
        begun.append(number)
        return 1 // (number - 2)

    made = in_threads(work, range(100), 2)
    assert next(made) == -1 and next(made) == -1
    with pytest.raises(ZeroDivisionError):
        next(made)
    assert max(begun) <= 7

"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partlabel.core.messages import in_bytes, shown_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GB", 20 * 10**9),
        ("1.5 tb", 15 * 10**11),
        ("500M", 5 * 10**8),
        ("7KB", 7000),
        ("12B", 12),
        ("3", 3),
    ],
)
def test_sizes_are_read(text, size):
    assert in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-3GB", "3 PB", "a lot"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a size; write it as 20GB, 500MB or 1\.5TB"):
        in_bytes(text)


@given(st.integers(0, 10**16))
def test_a_shown_size_is_enough_and_hardly_too_much(size):
    assert size <= in_bytes(shown_bytes(size)) <= size * 1.01

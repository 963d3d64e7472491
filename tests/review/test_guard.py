"""Who may talk to the page."""

import pytest

from partlabel.core.access_control import MOST_BYTES, Guard, is_loopback

HERE = {"host": "127.0.0.1:8765"}
POST = HERE | {"origin": "http://127.0.0.1:8765", "content-length": "10"}


def refused(guard, method="GET", headers=HERE, cookies=None, offered=None):
    found = guard.refusal(method, headers, cookies or {}, offered)
    return None if found is None else int(found.status)


def test_loopback_is_known():
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.5", "example.org", "")))


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST"])
def test_this_machine_is_known_by_its_names(host):
    assert refused(Guard("127.0.0.1", None, "t"), headers={"host": host}) is None


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1.evil.example", "", "192.168.1.5", "a:b:c", "[::1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(host):
    assert refused(Guard("127.0.0.1", None, "t"), headers={"host": host}) == 400
    assert refused(Guard("127.0.0.1", None, "t"), headers={}) == 400


def test_beyond_loopback_numbers_will_do_and_foreign_names_will_not():
    guard = Guard("0.0.0.0", "secret", "t")
    assert refused(guard, headers={"host": "192.168.1.5:8765"}, offered="secret") is None
    assert refused(guard, headers={"host": "evil.example:8765"}, offered="secret") == 400


def test_a_proxy_goes_by_its_own_name():
    guard = Guard("127.0.0.1", "secret", "t", known_as="review.example.org")
    asked = {"host": "review.example.org", "origin": "https://review.example.org", "content-length": "10"}
    assert refused(guard, "POST", asked, {"t": "secret"}) is None
    assert refused(guard, headers={"host": "other.example.org"}, cookies={"t": "secret"}) == 400


def test_without_the_token_nothing_is_answered():
    guard = Guard("0.0.0.0", "secret", "t")
    for cookies, offered in (
        ({}, None),
        ({"t": "wrong"}, None),
        ({}, "wrong"),
        ({"t": ""}, ""),
        ({"t": "é"}, None),
    ):
        assert refused(guard, cookies=cookies, offered=offered) == 403
    assert refused(guard, cookies={"t": "secret"}) is None
    assert refused(guard, offered="secret") is None
    assert refused(guard, "POST", POST) == 403


def test_answers_come_from_this_page_alone():
    guard = Guard("127.0.0.1", None, "t")
    assert refused(guard, "POST", POST) is None
    for wrong in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert refused(guard, "POST", POST | wrong) == 403
    assert refused(guard, "POST", POST | {"sec-fetch-site": "same-origin"}) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_here_and_load_nothing(site):
    guard = Guard("127.0.0.1", None, "t")

    def asked(mode, dest, site=site):
        told = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        return refused(guard, headers=HERE | told)

    assert asked("navigate", "document") is None
    for mode, dest in (
        ("no-cors", "image"),
        ("navigate", "iframe"),
        ("cors", "empty"),
        ("no-cors", "script"),
    ):
        assert asked(mode, dest) == 403
        assert asked(mode, dest, "same-origin") is None
    assert refused(guard, headers=HERE | {"sec-fetch-site": site}) == 403
    assert asked("navigate", "document", "none") is None


def test_forms_are_small_and_say_how_small():
    guard = Guard("127.0.0.1", None, "t")
    for length in (str(MOST_BYTES + 1), "", "-1", "many"):
        assert refused(guard, "POST", POST | {"content-length": length}) == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_refused(method):
    assert refused(Guard("127.0.0.1", None, "t"), method) == 405

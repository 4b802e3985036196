"""What an endpoint URL must look like before anything is called (S-153, S-158; SECURITY B2, B3)."""

import pytest

from hub.channels.egress import EgressPolicy, check_endpoint
from hub.channels.endpoint import Endpoint
from hub.errors import CannotStart, Unprocessable

PRODUCTION = EgressPolicy()
DEVELOPMENT = EgressPolicy(allow_private=True, allow_http=True)

ACCEPTED = [
    ("https://receiver.example", Endpoint("https", "receiver.example", 443, "/")),
    ("https://receiver.example/", Endpoint("https", "receiver.example", 443, "/")),
    ("HTTPS://Receiver.EXAMPLE/Path", Endpoint("https", "receiver.example", 443, "/Path")),
    ("https://receiver.example:443/a", Endpoint("https", "receiver.example", 443, "/a")),
    ("https://receiver.example:8443/a", Endpoint("https", "receiver.example", 8443, "/a")),
    ("https://receiver.example:80/a", Endpoint("https", "receiver.example", 80, "/a")),
    ("https://receiver.example:65535", Endpoint("https", "receiver.example", 65535, "/")),
    ("https://receiver.example/a?b=c&d=%20", Endpoint("https", "receiver.example", 443, "/a?b=c&d=%20")),
    ("https://receiver.example?b=c", Endpoint("https", "receiver.example", 443, "/?b=c")),
    ("https://receiver.example//a/../b", Endpoint("https", "receiver.example", 443, "//a/../b")),
    ("https://receiver.example/@user:x", Endpoint("https", "receiver.example", 443, "/@user:x")),
    ("https://my_service.example/", Endpoint("https", "my_service.example", 443, "/")),
    ("https://receiver/", Endpoint("https", "receiver", 443, "/")),
    ("https://1receiver.example/", Endpoint("https", "1receiver.example", 443, "/")),
    ("https://127.0.0.1.example/", Endpoint("https", "127.0.0.1.example", 443, "/")),
    ("https://münchen.example/", Endpoint("https", "xn--mnchen-3ya.example", 443, "/")),
    ("https://xn--mnchen-3ya.example/", Endpoint("https", "xn--mnchen-3ya.example", 443, "/")),
    ("https://ⓡeceiver.example/", Endpoint("https", "receiver.example", 443, "/")),
    ("https://receiver。example/", Endpoint("https", "receiver.example", 443, "/")),
    ("https://8.8.8.8/", Endpoint("https", "8.8.8.8", 443, "/")),
    ("https://[2606:4700:4700:0:0:0:0:1111]:8443/", Endpoint("https", "2606:4700:4700::1111", 8443, "/")),
]

REFUSED_FOR_ALL = [
    "",
    "receiver.example/a",
    "//receiver.example/a",
    "/a",
    "https:/receiver.example",
    "https:receiver.example",
    "https://",
    "https:///a",
    "https://?a",
    "https://:443/",
    "ftp://receiver.example/",
    "file:///etc/passwd",
    "gopher://receiver.example/",
    "javascript:alert(1)",
    "wss://receiver.example/",
    "mailto:nurse@receiver.example",
    "https://user@receiver.example/",
    "https://user:secret@receiver.example/",
    "https://@receiver.example/",
    "https://receiver.example@127.0.0.1/",
    "https://receiver.example\\@127.0.0.1/",
    "https://receiver.example/a#fragment",
    "https://receiver.example#@127.0.0.1/",
    "https://receiver.example/a#",
    " https://receiver.example/",
    "https://receiver.example/ ",
    "https://receiver.example /",
    "https://receiver.example/a b",
    "https://receiver.example/a\r\nHost: internal",
    "https://receiver.example/a\n",
    "https://receiver.example\n/",
    "https://receiver.example/a\tb",
    "https://receiver.example/a\x00b",
    "https://receiver.example/ä",
    "https://receiver.example/%zz",
    "https://receiver.example/%4",
    "https://receiver.example/a|b",
    "https://receiver.example/<a>",
    "https://receiver.example:0/",
    "https://receiver.example:65536/",
    "https://receiver.example:99999999/",
    "https://receiver.example:/",
    "https://receiver.example:-1/",
    "https://receiver.example:+443/",
    "https://receiver.example:４４３/",
    "https://receiver.example:https/",
    "https://receiver.example:22/",
    "https://receiver.example:25/",
    "https://receiver.example./",
    "https://.receiver.example/",
    "https://receiver..example/",
    "https://-receiver.example/",
    "https://receiver-.example/",
    "https://rec%65iver.example/",
    "https://%31%32%37.0.0.1/",
    "https://receiver*.example/",
    "https://receiver.example;a/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 127}example/",
    f"https://receiver.example/{'a' * 2048}",
    "https://xn--a/",
    "https://xn--/",
    "https://℀.example/",
    "https://a\u200d.example/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.0.0.256/",
    "https://1.2.3.4.5/",
    "https://0/",
    "https://0x/",
    "https://①②⑦.⓪.⓪.①/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://[::1/",
    "https://::1/",
    "https://[]/",
    "https://[127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[v1.a]/",
    "https://[::g]/",
    "https://[::1]a/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[ff02::1]/",
    "https://[fd00:ec2::254]/",
]

INTERNAL = [
    "https://127.0.0.1/",
    "https://127.255.255.254:8080/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[fd12:3456::1]/",
    "https://localhost/",
    "https://LOCALHOST:8443/",
    "https://receiver.localhost/",
    "https://ｌocalhost/",
]


@pytest.mark.parametrize(("url", "endpoint"), ACCEPTED)
def test_endpoint_is_read_as_it_will_be_called(url: str, endpoint: Endpoint) -> None:
    assert check_endpoint(url, PRODUCTION) == endpoint


@pytest.mark.parametrize("url", REFUSED_FOR_ALL)
@pytest.mark.parametrize("policy", [PRODUCTION, DEVELOPMENT], ids=["production", "development"])
def test_endpoint_that_could_be_misread_or_is_no_receiver_is_refused(url: str, policy: EgressPolicy) -> None:
    with pytest.raises(Unprocessable) as refused:
        check_endpoint(url, policy, "Subscription.channel.endpoint")
    assert [issue.expression for issue in refused.value.issues] == ["Subscription.channel.endpoint"]


@pytest.mark.parametrize("url", INTERNAL)
def test_internal_endpoint_is_refused_unless_private_endpoints_are_allowed(url: str) -> None:
    with pytest.raises(Unprocessable):
        check_endpoint(url, PRODUCTION)
    assert check_endpoint(url, DEVELOPMENT).scheme == "https"


def test_plain_http_is_refused_unless_allowed() -> None:
    with pytest.raises(Unprocessable, match="https"):
        check_endpoint("http://receiver.example/", PRODUCTION)
    assert check_endpoint("http://receiver.example/", DEVELOPMENT).port == 80


def test_refusal_does_not_repeat_the_path() -> None:
    for url in (
        "http://receiver.example/SECRET",
        "https://a:SECRET@b/",
        "https://b/SECRET#",
        "https://10.0.0.1/SECRET",
    ):
        with pytest.raises(Unprocessable) as refused:
            check_endpoint(url, PRODUCTION)
        assert "SECRET" not in str(refused.value)


def test_host_header_has_brackets_and_leaves_out_the_default_port() -> None:
    assert check_endpoint("https://8.8.8.8:443/", PRODUCTION).authority == "8.8.8.8"
    assert check_endpoint("https://8.8.8.8:80/", PRODUCTION).authority == "8.8.8.8:80"
    assert check_endpoint("https://[2606:4700::1]:8443/", PRODUCTION).authority == "[2606:4700::1]:8443"
    assert check_endpoint("https://[2606:4700::1]/", PRODUCTION).authority == "[2606:4700::1]"


def test_listed_network_and_host_open_internal_endpoints() -> None:
    policy = EgressPolicy.from_settings(allow=["10.1.0.0/16", "localhost", "192.168.7.7", "fd00::/8"])
    for url in ("https://10.1.2.3/", "https://localhost/", "https://192.168.7.7/", "https://[fd00::5]/"):
        check_endpoint(url, policy)
    for url in ("https://10.2.0.1/", "https://a.localhost/", "https://192.168.7.8/", "https://127.0.0.1/"):
        with pytest.raises(Unprocessable):
            check_endpoint(url, policy)


def test_listed_only_closes_every_other_host() -> None:
    policy = EgressPolicy.from_settings(allow=["*.hospital.example", "receiver.example"], listed_only=True)
    for url in ("https://a.hospital.example/", "https://a.b.hospital.example/", "https://receiver.example/"):
        check_endpoint(url, policy)
    for url in (
        "https://hospital.example/",
        "https://evilhospital.example/",
        "https://other.example/",
        "https://8.8.8.8/",
    ):
        with pytest.raises(Unprocessable):
            check_endpoint(url, policy)


def test_unreadable_entries_of_the_list_stop_the_start_together() -> None:
    with pytest.raises(CannotStart) as stopped:
        EgressPolicy.from_settings(allow=["10.0.0.0/8", "10.0.0.1/8", "0.0.0.0/0", "::/0", "a b", "*.127.1", " "])
    for entry in ("10.0.0.1/8", "0.0.0.0/0", "::/0", "a b", "*.127.1"):
        assert repr(entry) in str(stopped.value)
    assert "'10.0.0.0/8'" not in str(stopped.value)

"""Reading request bodies strictly (SECURITY E1)."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from hub.errors import Malformed
from hub.fhir.json import read_instant, read_json, write_instant, write_json


def test_an_object_is_read_with_integers_and_decimals_kept_apart() -> None:
    value = read_json(b'{"a":1,"b":6.30,"c":-0.0,"d":1e2,"e":null,"f":[true,"\\u00e9\xc3\xa9"]}')
    assert value == {"a": 1, "b": Decimal("6.30"), "c": 0, "d": 100, "e": None, "f": [True, "éé"]}
    assert isinstance(value["a"], int)
    assert str(value["b"]) == "6.30"


def test_a_byte_order_mark_is_allowed() -> None:
    assert read_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def nested(levels: int, inner: str = "1") -> bytes:
    return ('{"a":' * levels + inner + "}" * levels).encode()


def test_sixty_four_levels_are_read() -> None:
    assert read_json(nested(64))
    assert read_json(('{"a":' + "[" * 63 + "]" * 63 + "}").encode())


@pytest.mark.parametrize(
    "raw",
    [
        nested(65),
        ('{"a":' + "[" * 64 + "]" * 64 + "}").encode(),
        b"[" * 1_000_000,
        b'{"a":' * 300_000,
        b"{]" * 100_000,
        b'{"a":"\\"' + b"[" * 200_000 + b"]" * 200_000,
    ],
)
def test_deeper_nesting_is_refused_before_parsing(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_json(raw)


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = "[{" * 500 + '\\"' + "]" * 3
    assert read_json(f'{{"a":"{text}"}}'.encode())["a"].count("[{") == 500


def test_many_objects_side_by_side_are_no_nesting() -> None:
    assert len(read_json(b'{"a":[' + b",".join([b'{"b":[{}]}'] * 5000) + b"]}")["a"]) == 5000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":1,"a":2}',
        b'{"b":{"a":1,"\\u0061":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":["\\udc00x"]}',
        b'{"\\uD83D":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'\xff\xfe{\x00"\x00',
        b'{"a":' + b"9" * 301 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":0.' + b"9" * 300 + b"}",
        b'{"a":1e401}',
        b'{"a":1E-401}',
        b'{"a":1e+99999999999999999999}',
        b'{"a":"' + b"\\" * 1_000_001,
    ],
)
def test_what_cannot_be_kept_exactly_is_refused_as_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read_json(raw)
    assert refusal.value.issues[0].diagnostics


@pytest.mark.parametrize("raw", [b'{"a":1e400}', b'{"a":1E-400}', b'{"a":' + b"9" * 300 + b"}"])
def test_large_numbers_within_the_limits_are_read(raw: bytes) -> None:
    assert read_json(raw)


def test_whatever_was_read_can_be_written_with_the_same_digits() -> None:
    raw = b'{"a":6.30,"b":123456789012345678901234567890,"c":-1.50E+300,"d":0.000000000000,"e":999999999999999999}'
    assert write_json(read_json(raw)) == raw.replace(b"0.000000000000", b"0E-12")
    assert read_json(write_json(read_json(raw))) == read_json(raw)


def test_what_is_no_json_is_not_written() -> None:
    for value in (object(), Decimal("NaN"), {1, 2}):
        with pytest.raises(TypeError):
            write_json(value)


def test_a_whole_surrogate_pair_is_read() -> None:
    assert read_json(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_the_doubled_key_is_named() -> None:
    with pytest.raises(Malformed, match="'status'"):
        read_json(b'{"id":"1","status":"a","status":"b"}')


def test_json_is_written_compactly_as_utf8() -> None:
    assert write_json({"a": ["é", 1, None]}) == '{"a":["é",1,null]}'.encode()


def test_instants_are_written_in_utc_with_milliseconds() -> None:
    local = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=timezone(timedelta(hours=2)))
    assert write_instant(local) == "2026-01-02T01:04:05.678Z"


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5+02:00", datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234567Z", datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
        ("2026-01-02T03:04:05", None),
        ("2026-01-02", None),
        ("2026-02-30T03:04:05Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026-01-02T03:04:05Z\n", None),
        ("soon", None),
    ],
)
def test_an_instant_has_seconds_and_an_offset(written: str, moment: datetime | None) -> None:
    assert read_instant(written) == moment

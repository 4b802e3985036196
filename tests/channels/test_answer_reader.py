"""Reading answers from bytes, however they are cut (RFC 9112; SECURITY B5)."""

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.channels.answer import BODY_LIMIT_BYTES, HEAD_LIMIT_BYTES, AnswerReader
from hub.channels.response import Failure, Response

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 5\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nRetry-After: 9\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 7\r\nLink: </a>\r\n\r\n"


def read(*pieces: bytes) -> AnswerReader:
    reader = AnswerReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


def told(reader: AnswerReader) -> Response:
    return reader.response(Failure.TIMED_OUT)


def test_answer_with_a_length_is_whole_and_the_connection_reusable() -> None:
    reader = read(LENGTH)
    assert told(reader) == Response(200, {"retry-after": "5"}, b"ok")
    assert (reader.finished, reader.reusable) == (True, True)


def test_chunked_answer_is_joined_and_trailers_are_no_headers() -> None:
    reader = read(CHUNKED)
    assert told(reader) == Response(201, {}, b"ok")
    assert (reader.finished, reader.reusable) == (True, True)


def test_answer_without_length_ends_with_the_connection() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n\r\no", b"k")
    assert not reader.finished
    reader.end()
    assert told(reader) == Response(200, {}, b"ok")
    assert (reader.finished, reader.reusable) == (True, False)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answer_without_body_by_status_is_whole_at_once(status: bytes) -> None:
    reader = read(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert (reader.finished, reader.reusable) == (True, True)


def test_interim_answers_are_skipped_with_their_headers() -> None:
    reader = read(INTERIM, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert told(reader) == Response(200, {}, b"ok")


def test_interim_answers_without_end_are_cut_at_the_limit_of_headers() -> None:
    reader = AnswerReader()
    for _ in range(HEAD_LIMIT_BYTES // 25 + 1):
        reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert reader.finished
    assert told(reader).failure is Failure.HEADERS_TOO_LARGE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        LENGTH + LENGTH,
        LENGTH + b"HTTP/1.1 2",
        LENGTH + b"\x00",
    ],
)
def test_connection_is_not_reusable_after_close_http_1_0_or_surplus_bytes(answer: bytes) -> None:
    reader = read(answer)
    assert (told(reader).status, told(reader).body, reader.reusable) == (200, b"ok", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\x01\x02",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 000 Zero\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_answer_that_is_no_http_has_no_status(answer: bytes) -> None:
    reader = read(answer)
    assert reader.finished
    assert told(reader) == Response(failure=Failure.NOT_HTTP)


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\nx\r\n", b"1\r\nabc\r\n", b"fffffffffffffffff\r\n"])
def test_status_counts_when_the_chunks_are_invalid(chunks: bytes) -> None:
    reader = read(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert (reader.finished, reader.reusable, told(reader).status) == (True, False, 500)


def test_headers_without_end_are_cut() -> None:
    for endless in (b"X-A: b\r\n", b"a"):
        reader = read(b"HTTP/1.1 200 OK\r\nX-First: ", *[endless * 1000] * 50)
        assert told(reader) == Response(failure=Failure.HEADERS_TOO_LARGE)


def test_headers_beyond_the_limit_are_cut_even_when_they_come_in_one_piece() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: "
    fits = head + b"a" * (HEAD_LIMIT_BYTES - len(head) - 4) + b"\r\n\r\n"
    assert told(read(fits)).status == 200
    assert told(read(head + b"a" + fits.removeprefix(head))).failure is Failure.HEADERS_TOO_LARGE


def test_status_counts_when_the_body_is_beyond_the_limit() -> None:
    for framing in (b"Content-Length: 10000000", b"X-Until: close"):
        reader = read(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", *[b"a" * 10_000] * 1000)
        assert (reader.finished, reader.reusable) == (True, False)
        assert told(reader) == Response(200, {}, b"a" * BODY_LIMIT_BYTES)


def test_chunk_extensions_without_end_are_cut() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", *[b"a" * 10_000] * 10)
    assert (reader.finished, told(reader).status) == (True, 200)


def test_body_is_not_decoded() -> None:
    bomb = gzip.compress(b"\0" * 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    assert told(read(head + bomb)).body == bomb


def test_status_counts_when_the_connection_ends_inside_the_body() -> None:
    reader = read(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nok")
    reader.end()
    assert (told(reader).status, reader.reusable) == (202, False)


def test_no_status_when_the_connection_ends_inside_the_headers() -> None:
    for begun in (b"", b"HTTP/1.1 200 OK\r\nContent-Le", INTERIM):
        reader = read(begun)
        reader.end()
        assert told(reader) == Response(failure=Failure.CONNECTION_LOST)


def test_reader_is_ready_for_the_next_answer() -> None:
    reader = read(LENGTH)
    reader.expect()
    assert (reader.finished, told(reader).failure) == (False, Failure.TIMED_OUT)
    reader.feed(CHUNKED)
    assert told(reader) == Response(201, {}, b"ok")


@given(st.sampled_from([LENGTH, CHUNKED, INTERIM + CHUNKED]), st.lists(st.integers(1, 150), max_size=8))
def test_cuts_between_pieces_change_nothing(answer: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    reader = read(*(answer[start:stop] for start, stop in pairwise(edges)))
    assert told(reader) == told(read(answer))
    assert (reader.finished, reader.reusable) == (True, True)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise(noise: bytes) -> None:
    for begin in (b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", CHUNKED[:60], LENGTH):
        reader = read(begin, noise)
        reader.end()
        assert reader.finished

"""What is carried on from a change to the attempts it leads to."""

from __future__ import annotations

import pytest

from hub.domain.trail import NO_TRAIL, Trail, objection_to_correlation, valid_traceparent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("written", [TRACE, "cc" + TRACE[2:], "cc" + TRACE[2:] + "-what-comes-later"])
def test_a_traceparent_is_carried_as_it_came(written: str) -> None:
    assert valid_traceparent(written) == written


@pytest.mark.parametrize(
    "written",
    [
        "", "x", TRACE.upper(), TRACE + "-more", "ff" + TRACE[2:], TRACE[:-1], TRACE + " ", TRACE + ", " + TRACE,
        "00-" + "0" * 32 + TRACE[35:], TRACE[:36] + "0" * 16 + "-01", "cc" + TRACE[2:] + "-\r\nX: 1",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_is_overlooked(written: str) -> None:
    assert valid_traceparent(written) == ""


def test_a_correlation_goes_out_as_a_header_or_is_refused() -> None:
    assert objection_to_correlation("") == objection_to_correlation("order 7/b") == ""
    for wrong in ("a\tb", " a", "é", "x" * 257):
        assert "X-Correlation-ID" in objection_to_correlation(wrong)


def test_only_what_there_is_becomes_a_header() -> None:
    assert NO_TRAIL.headers == ()
    assert Trail("c-1", TRACE).headers == (("X-Correlation-ID", "c-1"), ("traceparent", TRACE))

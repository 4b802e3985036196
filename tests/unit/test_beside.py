"""What takes long is done beside the event loop, everything else in it."""

from __future__ import annotations

import threading

import pytest

from hub.beside import LONG_BODY_BYTES, beside
from hub.errors import Malformed


async def test_only_what_is_long_goes_to_another_thread() -> None:
    here = threading.get_ident()
    assert await beside(LONG_BODY_BYTES, threading.get_ident) == here
    assert await beside(LONG_BODY_BYTES + 1, threading.get_ident) != here


async def test_arguments_results_and_refusals_pass_through() -> None:
    def work(number: int, *, more: int) -> int:
        if not more:
            raise Malformed("nothing more")
        return number + more

    for size in (0, LONG_BODY_BYTES * 2):
        assert await beside(size, work, 1, more=2) == 3
        with pytest.raises(Malformed):
            await beside(size, work, 1, more=0)

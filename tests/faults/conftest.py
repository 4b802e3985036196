"""What the tests with faults share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.receiver import Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()

"""What the tests of whole commands share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for folders below it and a unix socket; ``tmp_path`` may be too deep."""
    with tempfile.TemporaryDirectory(prefix="hub-e2e-") as folder:
        yield Path(folder)

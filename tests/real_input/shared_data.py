"""Where published examples and synthetic patients lie, when they are there."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
SYNTHEA = DATA / "patients" / "synthea-r4"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there")

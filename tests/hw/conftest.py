"""Makes the helpers in ``tests/support`` importable from hardware tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

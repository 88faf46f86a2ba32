"""The oracles are modules beside the tests, which importlib's import mode does not find by itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

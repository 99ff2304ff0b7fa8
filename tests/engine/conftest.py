"""The tiny run is a plain module, so that processes that the tests start can import it too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

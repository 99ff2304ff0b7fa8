"""The small tokenizers are a plain module that every file here imports."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Check that the wheel holds every file that git tracks under src/: python scripts/check_wheel.py WHEEL_FOLDER"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

(wheel,) = Path(sys.argv[1]).glob("*.whl")
tracked = subprocess.run(["git", "ls-files", "src"], capture_output=True, text=True, check=True).stdout.split()
with zipfile.ZipFile(wheel) as archive:
    inside = set(archive.namelist())
missing = [name for name in tracked if name.removeprefix("src/") not in inside]
if missing:
    sys.exit(
        f"{wheel.name} lacks {len(missing)} files of src/: {', '.join(missing[:5])}; see package-data in pyproject.toml"
    )
print(f"{wheel.name} holds all {len(tracked)} files of src/, {wheel.stat().st_size / 1e6:.1f} MB")

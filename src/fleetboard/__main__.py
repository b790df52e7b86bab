"""Entry point of ``python -m fleetboard``."""

from __future__ import annotations

import sys

from fleetboard.cli import main

sys.exit(main())

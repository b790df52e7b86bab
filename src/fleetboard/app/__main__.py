"""Entry point of an application process; the supervisor is the only caller."""

from __future__ import annotations

import os

from fleetboard.app.process import serve
from fleetboard.app.settings import VARIABLE, Settings

if __name__ == "__main__":
    serve(Settings.from_json(os.environ[VARIABLE]))

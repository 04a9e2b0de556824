"""`python -m otelbridge VERB`: the same as the command `otelbridge`."""

from __future__ import annotations

import sys

from otelbridge.cli import main

if __name__ == "__main__":
    sys.exit(main())

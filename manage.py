#!/usr/bin/env python3
"""Django's command line."""

from __future__ import annotations

from mtastsweb.__main__ import main

if __name__ == "__main__":
    main()

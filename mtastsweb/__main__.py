"""The command line: `manage.py …` in a checkout, `mtastsweb …` where it is installed."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

EX_CONFIG = 78  # of sysexits.h


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mtastsweb.settings")
    from mtastsweb.environment import WrongEnvironment

    try:
        execute_from_command_line(sys.argv)
    except WrongEnvironment as error:
        print(error, file=sys.stderr)
        sys.exit(EX_CONFIG)


if __name__ == "__main__":
    main()

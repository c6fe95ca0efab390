"""Hostile input for every parser: some of it at each test run, more by hand.

make fuzz                                 # hypothesis, ten minutes
make fuzz FUZZ_SECONDS=3600
python -m tests.fuzz --atheris policy     # one parser, led by coverage, where atheris is installed

CONTRIBUTING.md says how to install it.
"""

"""TXT answers and policy texts with the verdict that RFC 8461 and `docs/` give them.

Every verdict was written by hand or by a table of the grammar, never taken from the parsers.
"""

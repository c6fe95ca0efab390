"""Answers for Postfix over its socketmap protocol (socketmap_table(5))."""

"""`make demo`: the product against a laboratory that lives."""

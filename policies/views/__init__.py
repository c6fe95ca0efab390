"""The pages. Views parse, call one function and render."""

"""The feed, `/api/v1/`: what the pages show, as JSON, to be read by monitoring and scripts.

Nothing can be changed here. docs/api.md has every field; a test holds both to each other.
"""

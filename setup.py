"""What pyproject.toml cannot say."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

LINES = Path(__file__).with_name("requirements.txt").read_text(encoding="utf-8").splitlines()

setup(
    # Without what only the tests need.
    install_requires=[line for line in LINES if line and not line.startswith(("#", "pytest"))],
    # Templates and static files lie beside the code here, and inside a package once installed.
    packages=[
        *find_packages(include=["mtastsweb*", "policies*"]),
        "mtastsweb.static",
        "mtastsweb.templates",
    ],
    package_dir={"mtastsweb.static": "static", "mtastsweb.templates": "templates"},
    package_data={"mtastsweb.static": ["**/*"], "mtastsweb.templates": ["**/*"]},
)

"""The file of domains that are always left to DANE."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from policies.socketmap.domainfile import DomainFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "domains"


def write_anew(path: Path, text: str) -> None:
    """As editors do: another file takes the name."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


def test_each_line_is_a_domain_in_any_form(path: Path) -> None:
    path.write_text("one.example\n  TWO.example.  \nbücher.example\n", encoding="utf-8")
    assert DomainFile(path).names() == {"one.example", "two.example", "xn--bcher-kva.example"}


def test_comments_and_empty_lines_are_no_domains(path: Path) -> None:
    path.write_text("# banks\n\none.example  # asked for by their postmaster\n")
    assert DomainFile(path).names() == {"one.example"}


def test_a_line_that_is_no_domain_is_left_out_and_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("one.example\n*.two.example\n")
    assert DomainFile(path).names() == {"one.example"}
    (record,) = caplog.records
    assert vars(record).items() >= {"msg": "line left out", "file": path, "line": 2}.items()


def test_a_changed_file_is_read_again(path: Path) -> None:
    path.write_text("one.example\n")
    domains = DomainFile(path)
    assert domains.names() == {"one.example"}
    write_anew(path, "two.example\n")
    assert domains.names() == {"two.example"}


def test_a_file_written_in_place_is_read_again(path: Path) -> None:
    path.write_text("one.example\n")
    domains = DomainFile(path)
    domains.names()
    path.write_text("one.example\ntwo.example\n")
    assert domains.names() == {"one.example", "two.example"}


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    path.write_text("one.example\n")
    domains = DomainFile(path)
    first = domains.names()
    assert domains.names() is first


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: write_broken(path)])
def test_a_file_that_cannot_be_read_keeps_its_last_content_and_is_logged_once(
    spoil: object, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("one.example\n")
    domains = DomainFile(path)
    domains.names()
    assert callable(spoil)
    spoil(path)
    assert domains.names() == domains.names() == {"one.example"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_file_that_comes_back_is_read(path: Path) -> None:
    path.write_text("one.example\n")
    domains = DomainFile(path)
    domains.names()
    path.unlink()
    domains.names()
    path.write_text("two.example\nthree.example\n")
    assert domains.names() == {"two.example", "three.example"}


def write_broken(path: Path) -> None:
    path.write_bytes(b"one.example \xff\xfe\n")

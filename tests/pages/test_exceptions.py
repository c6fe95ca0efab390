"""Exceptions in the pages: made, shown loudly, ended, imported, and the pause of everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from policies import exceptions
from policies.exception_forms import TABLE_LIMIT
from policies.models import PolicyException
from policies.socketmap.exceptions import Rule
from tests.pages import making
from tests.pages.conftest import As
from tests.worlds import ENFORCE, TESTING

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
BASE = {
    "scope": "domain", "target": "one.example", "action": "skip", "reason": "broken <b>",
    "owner": "op",
}  # fmt: skip


def made(**fields: Any) -> PolicyException:
    now = timezone.now()
    given = BASE | {"since": now - HOUR, "until": now + 7 * making.DAY} | fields
    return PolicyException.objects.create(**given)


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_operators_exception_ends_after_a_week(as_: As) -> None:
    answer = as_("operator").post("/exceptions/add/", BASE)
    assert answer.status_code == 303
    row = PolicyException.objects.get()
    assert row.until
    assert row.until - row.since == exceptions.DEFAULT_LIFE
    entry = LogEntry.objects.get()
    assert (entry.user.get_username(), entry.object_repr) == ("operator", "skip one.example")
    assert "broken" in entry.get_change_message()
    assert "skip one.example" in html(as_("viewer"), "/audit/")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "no name"}, "no label of a domain name"),
        ({"scope": "suffix"}, "begins with a dot"),
        ({"action": "pin", "policy_text": "version: STSv1\nmode: enforc\n"}, "line 2"),
        ({"action": "require"}, "Choose a level"),
        ({"action": "require", "level": "secure", "match": "hostname"}, "others on the way"),
        ({"scope": "mx", "action": "pin", "policy_text": ENFORCE}, "MX pattern"),
        ({"reason": " "}, "required"),
        ({"until": "2020-01-01T00:00"}, "after the beginning"),
        ({"until": "yesterday"}, "valid date"),
        ({"until": "2999-01-01T00:00"}, "366 days"),
        ({"scope": "everything", "target": ""}, "valid choice"),
        ({"action": "dance"}, "valid choice"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_typed_is_lost(
    changes: dict[str, str], said: str, as_: As
) -> None:
    answer = as_("operator").post("/exceptions/add/", BASE | changes)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert said in page
    assert 'value="op"' in page
    assert "broken &lt;b&gt;" in page or "reason" in changes
    assert not PolicyException.objects.exists()


def test_a_second_one_for_the_same_is_refused_until_the_first_is_over(as_: As) -> None:
    first = made()
    answer = as_("operator").post("/exceptions/add/", BASE | {"target": "One.Example."})
    assert exceptions.ANOTHER in answer.content.decode()
    PolicyException.objects.update(since=timezone.now() - 2 * HOUR, until=timezone.now() - HOUR)
    assert as_("operator").post("/exceptions/add/", BASE).status_code == 303
    first.refresh_from_db()
    assert first.ended == first.until


def test_an_administrator_may_leave_out_the_end(as_: As) -> None:
    form = BASE | {"endless": "on"}
    assert as_("administrator").post("/exceptions/add/", form).status_code == 303
    assert PolicyException.objects.get().until is None
    assert "without end" in html(as_("viewer"), "/exceptions/")
    assert 'name="endless"' not in html(as_("operator"), "/exceptions/add/")


def test_a_change_keeps_what_was_not_changed_to_the_second(as_: As) -> None:
    row = made(action="require", level="secure", match=["mx.one.example", ".two.example"])
    page = html(as_("operator"), f"/exceptions/{row.pk}/")
    assert 'value="mx.one.example .two.example"' in page
    form = BASE | {
        "action": "require", "level": "secure", "match": "mx.one.example .two.example",
        "since": f"{row.since:%Y-%m-%dT%H:%M}", "until": f"{row.until:%Y-%m-%dT%H:%M}",
        "reason": "another",
    }  # fmt: skip
    assert as_("operator").post(f"/exceptions/{row.pk}/", form).status_code == 303
    changed = PolicyException.objects.get()
    assert (changed.since, changed.until, changed.match) == (row.since, row.until, row.match)
    assert changed.reason == "another"


def test_nobody_overwrites_what_they_have_not_seen(as_: As) -> None:
    row = made()
    page = html(as_("operator"), f"/exceptions/{row.pk}/")
    shown = page.partition('name="shown" value="')[2].partition('"')[0]
    PolicyException.objects.update(action="enforce")
    answer = as_("operator").post(f"/exceptions/{row.pk}/", BASE | {"shown": shown})
    assert "somebody else changed it" in answer.content.decode()
    assert PolicyException.objects.get().action == "enforce"


def test_an_end_takes_effect_now_and_is_kept_in_the_list(as_: As) -> None:
    row = made()
    assert as_("operator").post(f"/exceptions/{row.pk}/end/").status_code == 303
    assert "one.example" not in html(as_("viewer"), "/exceptions/")
    assert "one.example" in html(as_("viewer"), "/exceptions/?state=ended")
    assert as_("operator").post(f"/exceptions/{row.pk}/end/").status_code == 303
    assert LogEntry.objects.count() == 1
    assert as_("operator").get(f"/exceptions/{row.pk}/").status_code == 303


def test_the_list_tells_states_apart(as_: As) -> None:
    now = timezone.now()
    made(target="active.example")
    made(target="ending.example", until=now + 5 * HOUR)
    made(target="coming.example", since=now + HOUR)
    made(target="over.example", until=now - HOUR / 2)
    found = {
        state: {
            name
            for name in ("active", "ending", "coming", "over")
            if f"{name}.example" in html(as_("viewer"), f"/exceptions/?state={state}")
        }
        for state in ("", "active", "ending", "coming", "ended")
    }
    assert found == {
        "": {"active", "ending", "coming"}, "active": {"active", "ending"}, "ending": {"ending"},
        "coming": {"coming"}, "ended": {"over"},
    }  # fmt: skip
    assert "ends soon" in html(as_("viewer"), "/exceptions/?state=ending")


def test_an_end_is_announced_a_day_before_on_list_and_page(as_: As) -> None:
    making.record("one.example")
    row = made(until=timezone.now() + 25 * HOUR)
    pages = ("/policies/", "/policies/one.example/", "/exceptions/")
    assert not any("ends soon" in html(as_("viewer"), path) for path in pages)
    PolicyException.objects.filter(pk=row.pk).update(until=timezone.now() + 23 * HOUR)
    assert all("ends soon" in html(as_("viewer"), path) for path in pages)


def test_pages_of_the_list_follow_each_other(as_: As) -> None:
    for number in range(60):
        made(target=f"d{number:02}.example", until=timezone.now() + (1 + number) * HOUR)
    first, second = (html(as_("viewer"), f"/exceptions/?page={page}") for page in (1, 2))
    assert [f"d{number:02}.example" in first for number in (0, 49, 50)] == [True, True, False]
    assert [f"d{number:02}.example" in second for number in (49, 50, 59)] == [False, True, True]
    assert 'rel="next"' in first
    assert 'rel="next"' not in second


@pytest.mark.parametrize(
    ("fields", "said", "reply"),
    [
        ({}, "does not reach Postfix", "<code>NOTFOUND </code>"),
        ({"scope": "suffix", "target": ".example"}, "does not reach Postfix", "NOTFOUND"),
        ({"scope": "mx", "target": "*.example.org"}, "does not reach Postfix", "NOTFOUND"),
        (
            {"action": "pin", "policy_text": ENFORCE.replace("mx.example.org", "mx.pin.example")},
            "pinned policy", "secure match=mx.pin.example servername=hostname policy_type=sts",
        ),
        ({"action": "enforce"}, "nothing is changed", "secure match=mx.example.org"),
        ({"action": "require", "level": "encrypt"}, "nothing is changed", "match=mx.example.org"),
    ],
)  # fmt: skip
def test_a_policys_page_and_the_list_say_so_loudly(
    fields: dict[str, Any], said: str, reply: str, as_: As
) -> None:
    making.record("one.example")
    making.record("other.test", ENFORCE.replace("mx.example.org", "mx.other.test"))
    row = made(**fields)
    page = html(as_("viewer"), "/policies/one.example/")
    assert said in page
    assert reply in page
    assert "op: broken &lt;b&gt;" in page
    assert f"exception: {row.action}" in page
    listed = html(as_("viewer"), "/policies/")
    assert listed.count(f"exception: {row.action}") == 1
    assert "exception: " not in html(as_("viewer"), "/policies/other.test/")


def test_a_testing_policy_that_is_enforced_says_what_postfix_gets(as_: As) -> None:
    making.record("one.example", TESTING)
    made(action="enforce")
    page = html(as_("viewer"), "/policies/one.example/")
    assert "Postfix enforces it" in page
    assert "secure match=.example.org servername=hostname" in page
    assert "mode: testing" in page


def test_those_that_are_overruled_are_named(as_: As) -> None:
    making.record("one.example")
    made(scope="suffix", target=".example")
    made(action="enforce")
    page = html(as_("viewer"), "/policies/one.example/")
    assert "Overruled by it" in page
    assert ".example" in page


def test_pages_offer_to_make_one_filled_in(as_: As) -> None:
    making.record("one.example")
    page = html(as_("operator"), "/policies/one.example/")
    add = reverse("policies:exception-add")
    assert f"{add}?scope=domain&amp;target=one.example" in page
    assert f"{add}?scope=mx&amp;target=mx.example.org" in page
    form = html(as_("operator"), f"{add}?scope=mx&target=*.mail.example")
    assert 'value="*.mail.example"' in form
    assert '<option value="mx" selected>' in form
    assert add not in html(as_("viewer"), "/policies/one.example/")


BAR = "Enforcement is paused."


def test_a_pause_is_on_every_page_and_ends_by_itself(as_: As) -> None:
    administrator = as_("administrator")
    assert BAR not in html(administrator, "/policies/")
    answer = administrator.post("/exceptions/pause/", {"hours": "2", "reason": "roots are lost"})
    assert answer.status_code == 303
    making.record("one.example")
    for path in ("/policies/", "/policies/one.example/", "/exceptions/", "/fetches/", "/glossary/",
                 "/admin/", "/admin/policies/policyrecord/", "/outcomes/"):  # fmt: skip
        page = html(administrator, path)
        assert BAR in page
        assert "roots are lost" in page
    assert BAR not in as_("anonymous").get("/accounts/login/").content.decode()
    PolicyException.objects.update(
        since=timezone.now() - 2 * HOUR, until=timezone.now() - timedelta(seconds=1)
    )
    assert BAR not in html(administrator, "/policies/")


def test_a_pause_lasts_a_day_at_most_and_is_not_drawn_out(as_: As) -> None:
    administrator = as_("administrator")
    too_long = administrator.post("/exceptions/pause/", {"hours": "25", "reason": "r"})
    assert too_long.status_code == 200
    assert not PolicyException.objects.exists()
    administrator.post("/exceptions/pause/", {"hours": "24", "reason": "r"})
    row = PolicyException.objects.get()
    assert administrator.get(f"/exceptions/{row.pk}/").status_code == 303
    assert administrator.post(f"/exceptions/{row.pk}/", BASE).status_code == 303
    again = administrator.post("/exceptions/pause/", {"hours": "24", "reason": "r"})
    assert exceptions.ANOTHER in again.content.decode()
    admins = as_("superuser").get(f"/admin/policies/policyexception/{row.pk}/change/")
    assert b'name="until"' not in admins.content
    assert administrator.post(f"/exceptions/{row.pk}/end/").status_code == 303
    assert BAR not in html(administrator, "/policies/")


def test_an_operator_can_neither_pause_nor_end_a_pause(as_: As) -> None:
    row = made(scope="everything", target="", until=timezone.now() + HOUR)
    assert as_("operator").post(f"/exceptions/{row.pk}/end/").status_code == 403
    assert "Pause enforcement" not in html(as_("operator"), "/exceptions/")


TABLE = "a.example may\n.b.example encrypt\nc.example dane-only\n"


def test_a_table_is_shown_first_and_imported_when_told_to(as_: As) -> None:
    form = {"reason": "from the old server", "days": "3"}
    file = SimpleUploadedFile("policy", TABLE.encode())
    page = as_("operator").post("/exceptions/import/", form | {"file": file}).content.decode()
    assert "2 entries can be exceptions, 1 cannot" in page
    assert "DANE is not ours to ask for" in page
    assert not PolicyException.objects.exists()
    refused = as_("operator").post("/exceptions/import/", form | {"table": TABLE, "do": "all"})
    assert refused.status_code == 200
    assert not PolicyException.objects.exists()
    done = as_("operator").post("/exceptions/import/", form | {"table": TABLE, "do": "rest"})
    assert done.status_code == 303
    assert set(PolicyException.objects.values_list("target", "action", "owner", "reason")) == {
        ("a.example", "skip", "operator", "from the old server"),
        (".b.example", "require", "operator", "from the old server"),
    }


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"a\0b", b"x" * 1_000_001])
def test_what_is_no_table_is_told(data: bytes, as_: As) -> None:
    form = {"reason": "r", "days": "7", "file": SimpleUploadedFile("x", data)}
    answer = as_("operator").post("/exceptions/import/", form)
    assert answer.status_code == 200
    assert b'role="alert"' in answer.content


def test_the_export_is_a_table_for_postfix(as_: As) -> None:
    made()
    answer = as_("viewer").get("/exceptions/export")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"\none.example may\n" in answer.content


def test_the_admin_checks_by_the_same_rules(as_: As) -> None:
    path = "/admin/policies/policyexception/add/"
    operator = as_("operator")
    assert b"Choose a level" in operator.post(path, BASE | {"action": "require"}).content
    assert operator.post(path, BASE | {"target": "ONE.example"}).status_code == 302
    row = PolicyException.objects.get()
    assert row.target == "one.example"
    assert LogEntry.objects.get().object_id == str(row.pk)
    change = f"/admin/policies/policyexception/{row.pk}/change/"
    assert operator.post(change, BASE | {"action": "enforce"}).status_code == 302
    assert PolicyException.objects.get().action == "enforce"
    pause = operator.post(path, BASE | {"scope": "everything", "target": ""})
    assert b"not one of the available choices" in pause.content


def test_what_was_written_past_all_checks_does_no_harm(as_: As) -> None:
    making.record("one.example")
    made(target="no name", action="pin")
    made(scope="suffix", target="x", action="require", level="secure", match={"a": 1})
    for path in ("/exceptions/", "/policies/", "/policies/one.example/", "/exceptions/export"):
        assert as_("operator").get(path).status_code == 200
    for row in PolicyException.objects.all():
        assert as_("operator").get(f"/exceptions/{row.pk}/").status_code == 200


def test_one_that_was_ended_or_deleted_while_it_was_changed_stays_so(
    as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the row and the write, where another process may be; what it did is
    rolled back with all else here, as the test has one connection."""
    loses: list[Callable[[], object]] = [
        lambda: PolicyException.objects.update(ended=timezone.now()),
        lambda: PolicyException.objects.all().delete(),
    ]
    checked = exceptions._checked
    for path in ("/exceptions/{}/", "/admin/policies/policyexception/{}/change/"):
        for lose in loses:
            PolicyException.objects.all().delete()
            row = made()

            def check_and_lose(*given: Any, lose: Callable[[], object] = lose) -> Rule:
                lose()
                return checked(*given)

            with monkeypatch.context() as patched:
                patched.setattr(exceptions, "_checked", check_and_lose)
                answer = as_("operator").post(
                    path.format(row.pk), BASE | {"action": "enforce"}, follow=True
                )
            assert answer.status_code == 200
            assert b"Somebody has ended or deleted it meanwhile" in answer.content
            assert not PolicyException.objects.filter(action="enforce").exists()
            assert not LogEntry.objects.exists()


def test_a_change_leaves_the_count_of_uses_to_the_socketmap(
    as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = made()
    checked = exceptions._checked

    def check_while_used(*given: Any) -> Rule:
        exceptions.note_uses({row.pk: 3}, timezone.now())
        return checked(*given)

    monkeypatch.setattr(exceptions, "_checked", check_while_used)
    as_("operator").post(f"/exceptions/{row.pk}/", BASE | {"action": "enforce"})
    row.refresh_from_db()
    assert (row.action, row.uses) == ("enforce", 3)


def test_a_double_click_makes_one(as_: As) -> None:
    operator = as_("operator")
    first, second = (operator.post("/exceptions/add/", BASE) for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 200)
    assert b"There is an exception for this already" in second.content
    end = f"/exceptions/{PolicyException.objects.get().pk}/end/"
    assert b"Ended: skip one.example" in operator.post(end, follow=True).content
    assert b"It had ended already" in operator.post(end, follow=True).content


def test_a_large_table_is_imported_in_few_statements(
    as_: As, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """What holds the database for long keeps the socketmap from writing to it."""
    table = "\n".join(f"d{at}.example may" for at in range(1200))
    made(target="d7.example", until=timezone.now() - timedelta(minutes=1))
    form = {"table": table, "reason": "r", "days": "7", "do": "all"}
    with django_assert_max_num_queries(80):
        assert as_("operator").post("/exceptions/import/", form).status_code == 303
    assert PolicyException.objects.filter(ended=None).count() == 1200
    assert LogEntry.objects.count() == 1200
    logged = LogEntry.objects.latest("pk")
    assert (logged.object_repr, logged.get_edited_object().target) == (
        "skip d1199.example", "d1199.example"
    )  # fmt: skip


def test_a_table_that_fits_as_a_file_fits_as_the_browser_sends_it_again(as_: As) -> None:
    lines = "# a comment of seventy-two characters, so that the table is long enough\n" * 13_750
    assert len(lines) < TABLE_LIMIT < len(lines.replace("\n", "\r\n"))
    table = f"a.example may\n{lines}".replace("\n", "\r\n")
    form = {"table": table, "reason": "r", "days": "7", "do": "all"}
    assert as_("operator").post("/exceptions/import/", form).status_code == 303
    assert PolicyException.objects.get().target == "a.example"

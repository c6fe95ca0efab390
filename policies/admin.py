"""Django admin: policies are edited by their text; the log of fetches is there to read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.paginator import Paginator
from django.db.models import Min, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.functional import cached_property

from policies import cache, listing, tasks
from policies.forms import PolicyRecordForm
from policies.models import Fetch, PolicyRecord
from policies.querysets import PolicyRecordQuerySet

COUNTED = 10_000
"""How many rows the admin counts: the rest is reached by searching."""

EDIT_RULE = (
    "An edited text holds through refreshes until the domain publishes a new record id or someone"
    " refetches; then the published policy takes its place. While it holds, the row is marked,"
    " Postfix gets no TLSRPT attributes for it, and its text enters no report. Record id, valid"
    " until and back-off may be set without an edit of the text."
)


class CappedPaginator(Paginator):
    """Counts no further than it has to: to count a million rows takes longer than to show some."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: COUNTED + 1].count())


class SparseDates(PolicyRecordQuerySet):
    """Finds the years, months or days that occur by one step in the index for each of them."""

    def datetimes(self, field_name: str, kind: str, *args: Any, **kwargs: Any) -> Any:
        found: list[datetime] = []
        rest = self.order_by()
        while (first := rest.aggregate(first=Min(field_name))["first"]) is not None:
            found.append(_start(first, kind))
            rest = self.order_by().filter(**{f"{field_name}__gte": _end(found[-1], kind)})
        return found


def _start(moment: datetime, kind: str) -> datetime:
    moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return moment
    return moment.replace(day=1) if kind == "month" else moment.replace(month=1, day=1)


def _end(start: datetime, kind: str) -> datetime:
    """The start of the next one."""
    ahead = {"day": 1, "month": 32, "year": 367}[kind]
    return _start(start + timedelta(days=ahead), kind)


class StateFilter(admin.SimpleListFilter):
    """The states of the list."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(choice.value, choice.label) for choice in listing.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return listing.filter_state(queryset, self.value() or "")


@admin.register(PolicyRecord)
class PolicyRecordAdmin(admin.ModelAdmin):
    """Policies: the text is what one edits."""

    form = PolicyRecordForm
    list_display = ("domain", "mode", "backoff", "last_use", "valid_end", "record_id", "edited")
    list_filter = ("mode", "backoff", StateFilter)
    search_fields = ("domain",)
    search_help_text = "A part of a domain name, in either form."
    date_hierarchy = "valid_end"
    ordering = ("-last_use_key", "domain")
    sortable_by = ("domain", "valid_end")
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ("refetch",)
    fieldsets: ClassVar = (
        (
            None,
            {
                "fields": ("domain", "policy_text", "record_id", "valid_end", "backoff"),
                "description": EDIT_RULE,
            },
        ),
        (
            "What follows from the text",
            {"fields": ("version", "mode", "mx", "max_age", "extensions")},
        ),
        (
            "What the cache keeps",
            {
                "fields": (
                    "inserted",
                    "last_update",
                    "last_use",
                    "refresh_due",
                    "failures",
                    "edited",
                    "published_differs",
                    "failed_id",
                    "retry_at",
                    "failure_type",
                    "failure_reason",
                    "outcome_type",
                    "outcome_failure",
                    "outcome_reason",
                    "outcome_at",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> SparseDates:
        return SparseDates(self.model).order_by(*self.ordering)

    def get_fieldsets(self, request: HttpRequest, obj: PolicyRecord | None = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:1]

    def get_readonly_fields(self, request: HttpRequest, obj: PolicyRecord | None = None) -> Any:
        if obj is None:
            return ()
        owned = [name for _, options in self.fieldsets[1:] for name in options["fields"]]
        return ("domain", *owned)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PolicyRecord], search_term: str
    ) -> tuple[QuerySet[PolicyRecord], bool]:
        # As the list does: `icontains` reads every row, and knows no A-labels.
        return listing.search(queryset, search_term), False

    def save_model(
        self,
        request: HttpRequest,
        obj: PolicyRecord,
        form: ModelForm[PolicyRecord],
        change: bool,
    ) -> None:
        assert isinstance(form, PolicyRecordForm)  # noqa: S101 - the class above says so
        text_edited = not change or "policy_text" in form.changed_data
        cache.edit(obj, form.policy, text_edited=text_edited)

    @admin.action(description="Refetch selected policies", permissions=["refetch"])
    def refetch(self, request: HttpRequest, queryset: QuerySet[PolicyRecord]) -> None:
        """Have workers fetch the selected policies now."""
        records = list(queryset)
        queued = sum(tasks.request_refetch(each.name, self._user(request))[1] for each in records)
        LogEntry.objects.log_actions(
            self._user(request).pk, records, CHANGE, change_message="Asked for a refetch."
        )
        already = len(records) - queued
        says = f"Refetch: {queued} queued" + (f", {already} queued already." if already else ".")
        self.message_user(request, says, messages.SUCCESS if queued else messages.WARNING)

    def has_refetch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("policies.refetch_policyrecord")

    @staticmethod
    def _user(request: HttpRequest) -> Any:
        return request.user


@admin.register(Fetch)
class FetchAdmin(admin.ModelAdmin):
    """The log of fetches, to read."""

    list_display = ("domain", "source", "state", "outcome", "changed", "queued_at")
    list_filter = ("source", "state", "outcome")
    search_fields = ("=domain",)
    search_help_text = "A whole domain name."
    list_select_related = ("requested_by",)
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Fetch | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Fetch | None = None) -> bool:
        return False

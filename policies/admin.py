"""Django admin: policies are edited by their text; the log of fetches is there to read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import actions
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.db.models import Min, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.functional import cached_property

from policies import audit, cache, exceptions, listing, tasks, tokens
from policies.exception_forms import PolicyExceptionForm, powers
from policies.forms import PolicyRecordForm
from policies.models import ApiToken, Fetch, PolicyException, PolicyRecord
from policies.querysets import PolicyRecordQuerySet
from policies.socketmap.exceptions import Refused
from policies.templatetags.ui import duration

COUNTED = 10_000
"""How many rows the admin counts: the rest is reached by searching."""

DELETED_AT_ONCE = 1_000

ADDED_MEANWHILE = (
    "Somebody else has added this domain just now, or a mail server has asked for it."
    " Nothing was saved: look at what is there first."
)

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
    """Finds the years, months or days that occur without reading all rows.

    Few rows are read at once; among many, each date is one step in the index.
    """

    def datetimes(self, field_name: str, kind: str, *args: Any, **kwargs: Any) -> Any:
        if self._few is not None:
            values = self._few.values_list(field_name, flat=True)
            return sorted({_start(value, kind) for value in values})
        found: list[datetime] = []
        rest: PolicyRecordQuerySet = self.order_by()
        while (first := rest.aggregate(first=Min(field_name))["first"]) is not None:
            found.append(_start(first, kind))
            # First, before any other bound: SQLite enters the index at the first one it is given.
            beyond = PolicyRecordQuerySet(self.model).filter(
                **{f"{field_name}__gte": _end(found[-1], kind)}
            )
            rest = beyond.order_by() & self.order_by()
        return found

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if len(kwargs) == 1:
            return super().aggregate(*args, **kwargs)
        if self._few is not None:
            return self._few.aggregate(*args, **kwargs)
        # The first and the last in one query would have it read the whole index.
        return {name: self.aggregate(**{name: each})[name] for name, each in kwargs.items()}

    @cached_property
    def _few(self) -> PolicyRecordQuerySet | None:
        """These rows by their keys, which an index finds; None where they are many."""
        keys = self.order_by().values("pk")
        if keys[: COUNTED + 1].count() > COUNTED:
            return None
        return PolicyRecordQuerySet(self.model).filter(pk__in=keys[:COUNTED]).order_by()


def _start(moment: datetime, kind: str) -> datetime:
    moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return moment
    return moment.replace(day=1) if kind == "month" else moment.replace(month=1, day=1)


def _end(start: datetime, kind: str) -> datetime:
    """The start of the next one."""
    ahead = {"day": 1, "month": 32, "year": 367}[kind]
    return _start(start + timedelta(days=ahead), kind)


class PolicyChangeList(ChangeList):
    """Offers dates of all rows, or of few: those of many that match would take long to find."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.result_count > COUNTED and (self.query or self.has_active_filters):
            self.date_hierarchy = None


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
    list_display = ("domain", "mode_or_backoff", "used", "valid_end", "record_id", "edited")
    list_filter = ("mode", "backoff", StateFilter)
    search_fields = ("domain",)
    search_help_text = "A part of a domain name, in either form."
    date_hierarchy = "valid_end"
    ordering = ("-last_use_key", "domain")
    sortable_by = ("domain", "used", "valid_end")
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ("refetch", "delete_selected")
    fieldsets: ClassVar = (
        (
            None,
            {
                "fields": ("domain", "policy_text", "record_id", "valid_end", "backoff", "shown"),
                "description": EDIT_RULE,
            },
        ),
        (
            "What follows from the text",
            {"fields": ("version", "mode", "mx_patterns", "lifetime", "other_fields")},
        ),
        ("The edit", {"fields": ("edited", "published")}),
        (
            "What the cache keeps",
            {
                "fields": (
                    "inserted",
                    "last_update",
                    "last_use",
                    "refresh_due",
                    "failures",
                    "certificate_end",
                )
            },
        ),
        (
            "The last failed fetch",
            {"fields": ("failed_id", "retry_at", "failure_type", "failure_reason")},
        ),
        (
            "The latest TLSRPT outcome",
            {"fields": ("outcome_type", "outcome_failure", "outcome_reason", "outcome_at")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> SparseDates:
        return SparseDates(self.model).order_by(*self.get_ordering(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PolicyChangeList

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # The rows of a year or month come in the order of the index that finds them.
        is_dated = any(name.startswith("valid_end__") for name in request.GET)
        return ("valid_end", "domain") if is_dated else self.ordering

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

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:
            self.message_user(request, ADDED_MEANWHILE, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:policies_policyrecord_changelist"))

    def save_model(
        self,
        request: HttpRequest,
        obj: PolicyRecord,
        form: ModelForm[PolicyRecord],
        change: bool,
    ) -> None:
        assert isinstance(form, PolicyRecordForm)  # noqa: S101 - the class above says so
        cache.edit(obj, form.policy, text_edited=form.is_text_edited)

    @admin.display(description="Mode")
    def mode_or_backoff(self, record: PolicyRecord) -> str:
        return "backing off" if record.backoff else record.mode

    @admin.display(description="Last use", ordering="last_use_key", empty_value="never")
    def used(self, record: PolicyRecord) -> datetime | None:
        return record.last_use

    @admin.display(description="MX patterns")
    def mx_patterns(self, record: PolicyRecord) -> str:
        return ", ".join(record.mx) or "none"

    @admin.display(description="Lifetime (max_age)")
    def lifetime(self, record: PolicyRecord) -> str:
        return f"{duration(record.max_age)} ({record.max_age:,} s)"

    @admin.display(description="Extensions")
    def other_fields(self, record: PolicyRecord) -> str:
        return ", ".join(f"{name}: {value}" for name, value in record.extensions) or "none"

    @admin.display(description="Published text")
    def published(self, record: PolicyRecord) -> str:
        if not record.edited:
            return "the one above"
        return "another one" if record.published_differs else "no other was seen"

    @admin.action(description="Refetch selected policies", permissions=["refetch"])
    def refetch(self, request: HttpRequest, queryset: PolicyRecordQuerySet) -> None:
        """Have workers fetch the selected policies now; those of many pages as a job."""
        user: Any = request.user
        if request.POST.get("select_across") == "1":
            if not queryset.filter(job=None).exists():
                says = "All of them are queued already; nothing was added."
                self.message_user(request, says, messages.WARNING)
                return
            job = tasks.request_refetch_of_many(queryset, "all that matched in the admin", user)
            audit.log(user, [job], ADDITION, f"Refetch of {job.total} policies.")
            self.message_user(request, f"Refetch: {job.total:,} queued as job {job.pk}.")
            return
        records = list(queryset)
        asked = [record for record in records if tasks.request_refetch(record.name, user)[1]]
        audit.log_each(user, [(record, audit.ASKED) for record in asked], CHANGE)
        queued = len(asked)
        already = len(records) - queued
        says = f"Refetch: {queued} queued" + (f", {already} queued already." if already else ".")
        self.message_user(request, says, messages.SUCCESS if queued else messages.WARNING)

    @admin.action(description="Delete selected policies", permissions=["delete"])
    def delete_selected(
        self, request: HttpRequest, queryset: PolicyRecordQuerySet
    ) -> HttpResponse | None:
        """Django's own, which lists all that goes; so not for a million."""
        if queryset.order_by()[: DELETED_AT_ONCE + 1].count() > DELETED_AT_ONCE:
            says = f"At most {DELETED_AT_ONCE:,} are deleted at once. Nothing was: narrow the list."
            self.message_user(request, says, messages.ERROR)
            return None
        answer: HttpResponse | None = actions.delete_selected(self, request, queryset)
        return answer

    def has_refetch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("policies.refetch_policyrecord")


@admin.register(PolicyException)
class PolicyExceptionAdmin(admin.ModelAdmin):
    """Exceptions, checked as everywhere; `/exceptions/` is the page for every day."""

    list_display = ("target_or_everything", "scope", "action", "since", "until", "ended", "uses")
    list_display_links = ("target_or_everything",)
    list_filter = ("action", "scope")
    search_fields = ("target", "reason")
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    readonly_fields = ("created", "ended", "uses", "last_use")
    form = PolicyExceptionForm

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        may = powers(request.user)

        class ByUser(form):  # type: ignore[misc, valid-type]  # Django makes it
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, powers=may, **options)

        return ByUser

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.get_username()} | super().get_changeform_initial_data(request)

    def get_fields(self, request: HttpRequest, obj: PolicyException | None = None) -> Any:
        given = [*PolicyExceptionForm.Meta.fields, "shown"]
        if powers(request.user).endless:
            given.append("endless")
        return [*given, *self.readonly_fields] if obj else given

    def has_change_permission(
        self, request: HttpRequest, obj: PolicyException | None = None
    ) -> bool:
        """What has ended is history, and a pause is ended at /exceptions/, not drawn out."""
        if obj is not None and (obj.ended is not None or obj.scope == obj.Scope.EVERYTHING):
            return False
        return super().has_change_permission(request, obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except Refused as refused:  # somebody was quicker than the checks of the form
            said = " ".join(refused.problems.values())
            self.message_user(request, f"Nothing was saved. {said}", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:policies_policyexception_changelist"))

    def save_model(
        self,
        request: HttpRequest,
        obj: PolicyException,
        form: ModelForm[PolicyException],
        change: bool,
    ) -> None:
        assert isinstance(form, PolicyExceptionForm)  # noqa: S101 - the class above says so
        assert form.rule is not None  # noqa: S101 - it is valid
        exceptions.store(obj, form.rule, form.powers, timezone.now())

    @admin.display(description="About", ordering="target")
    def target_or_everything(self, row: PolicyException) -> str:
        return row.target or "everything"


@admin.register(Fetch)
class FetchAdmin(admin.ModelAdmin):
    """The log of fetches, to read."""

    list_display = ("domain", "source", "state", "outcome", "changed", "queued_at")
    list_filter = ("source", "state", "outcome")
    search_fields = ("=domain",)
    search_help_text = "A whole domain name, in either form."
    list_select_related = ("requested_by",)
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Fetch], search_term: str
    ) -> tuple[QuerySet[Fetch], bool]:
        return listing.search(queryset, f"={search_term}") if search_term else queryset, False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Fetch | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Fetch | None = None) -> bool:
        return False


class ApiTokenForm(ModelForm):
    """A new token ends in a year, unless its maker says otherwise."""

    class Meta:
        model = ApiToken
        fields = ("name", "owner", "expires")

    def clean_expires(self) -> datetime:
        expires: datetime = self.cleaned_data["expires"]
        if expires <= timezone.now():
            raise ValidationError("This has passed already: give a moment to come.")
        return expires


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens of the feed: made and shown once, then only to be revoked or deleted."""

    form = ApiTokenForm
    list_display = ("name", "owner", "state", "created", "expires", "last_used")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        if obj is None:
            return ("name", "owner", "expires")
        return ("name", "owner", "state", "created", "expires", "revoked", "last_used")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, "expires": timezone.now() + tokens.LIFETIME}

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def save_model(
        self, request: HttpRequest, obj: ApiToken, form: ModelForm[ApiToken], change: bool
    ) -> None:
        obj.shown_once = tokens.draw(obj)  # type: ignore[attr-defined]  # for response_add alone
        obj.save()

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The token itself, on a page that is kept nowhere; a message would wait in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": "The new API token",
            "token": obj.shown_once,  # type: ignore[attr-defined]  # as above
            "made": obj,
            "opts": self.opts,
        }
        answer = TemplateResponse(request, "admin/policies/apitoken/made.html", context)
        add_never_cache_headers(answer)
        return answer

    @admin.action(description="Revoke selected tokens", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End them now; they stay in the list."""
        rows = list(queryset)
        user: Any = request.user
        ended = tokens.revoke(rows, timezone.now())
        LogEntry.objects.log_actions(user.pk, rows, CHANGE, change_message="Revoked.")
        self.message_user(request, f"Revoked: {ended}. Whatever reads with them is refused now.")

    @admin.display(description="State")
    def state(self, row: ApiToken) -> str:
        return row.state(timezone.now()) if row.owner.is_active else "owner inactive"

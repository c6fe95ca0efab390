"""The product's own pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, register_converter
from django.urls.converters import IntConverter, StringConverter
from django.views.generic import RedirectView

from policies.api import views as api
from policies.views import (
    actions,
    alerts,
    audit,
    bulk,
    check,
    exceptions,
    fetches,
    glossary,
    jobs,
    outcomes,
    policies,
    policy,
    setup,
    status,
    trouble,
)


class ActionConverter(StringConverter):
    """What can be done with many policies at once."""

    regex = "|".join(bulk.PERMISSIONS)


class KeyConverter(IntConverter):
    """A number that a row can have: no database takes longer ones."""

    regex = "[0-9]{1,18}"


register_converter(ActionConverter, "action")
register_converter(KeyConverter, "int64")

app_name = "policies"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="policies:list"), name="home"),
    path("policies/", policies.index, name="list"),
    path("policies/refetch/", actions.refetch_selected, name="refetch-selected"),
    path("policies/changed/", policies.changed, name="changed"),
    path("policies/bulk/<action:action>/", bulk.act, name="bulk"),
    path("policies/export.csv", bulk.export, {"kind": "csv"}, name="export-csv"),
    path("policies/export.json", bulk.export, {"kind": "json"}, name="export-json"),
    path("jobs/", jobs.panel, name="jobs"),
    path("jobs/resume/", jobs.resume, name="jobs-resume"),
    path("jobs/<int64:pk>/stop/", jobs.stop, name="job-stop"),
    path("audit/", audit.index, name="audit"),
    path("policies/<str:domain>/", policy.detail, name="detail"),
    path("policies/<str:domain>/row/", policies.row, name="row"),
    path("policies/<str:domain>/refetch/", actions.refetch, name="refetch"),
    path("policies/<str:domain>/probe/", actions.probe, name="probe"),
    path("policies/<str:domain>/delete/", actions.delete, name="delete"),
    path("alerts/", alerts.index, name="alerts"),
    path("alerts/<int64:pk>/", alerts.detail, name="alert"),
    path("alerts/<int64:pk>/acknowledge/", alerts.acknowledge, name="acknowledge"),
    path("outcomes/", outcomes.index, name="outcomes"),
    path("outcomes/csv/", outcomes.as_csv, name="outcomes-csv"),
    path("outcomes/report/", outcomes.report, name="outcomes-report"),
    path("fetches/", fetches.index, name="fetches"),
    path("fetches/<int64:pk>/row/", fetches.row, name="fetch-row"),
    path("check/", check.index, name="check"),
    path("check/store/", check.store, name="check-store"),
    path("check/<uuid:run_id>/", check.result, name="check-result"),
    path("trouble/", trouble.index, name="trouble"),
    path("exceptions/", exceptions.index, name="exceptions"),
    path("exceptions/add/", exceptions.add, name="exception-add"),
    path("exceptions/pause/", exceptions.pause, name="exception-pause"),
    path("exceptions/export", exceptions.export, name="exception-export"),
    path("exceptions/import/", exceptions.import_, name="exception-import"),
    path("exceptions/<int64:pk>/", exceptions.edit, name="exception"),
    path("exceptions/<int64:pk>/end/", exceptions.end, name="exception-end"),
    path("status/", status.index, name="status"),
    path("glossary/", glossary.index, name="glossary"),
    path("api/v1/", api.index, name="api"),
    path("api/v1/policies/", api.policies, name="api-policies"),
    path("api/v1/policies/<str:domain>/", api.policy, name="api-policy"),
    path("api/v1/policies/<str:domain>/versions/", api.versions, name="api-versions"),
    path("api/v1/fetches/", api.fetches, name="api-fetches"),
    path("api/v1/outcomes/", api.outcome_list, name="api-outcomes"),
    path("api/v1/alerts/", api.alerts, name="api-alerts"),
    path("api/v1/exceptions/", api.exceptions, name="api-exceptions"),
    path("api/v1/trouble/", api.trouble, name="api-trouble"),
    path("api/v1/status/", api.state, name="api-status"),
    path("api/<path:path>", api.nowhere, name="api-nowhere"),
    path("setup/<str:token>/", setup.first_login, name="setup"),
]

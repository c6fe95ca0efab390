"""The admin as this site has it: apart from `mtastsweb.admin`, which needs all models loaded."""

from __future__ import annotations

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    """Has `admin.site` be ours."""

    default_site = "mtastsweb.admin.Site"

#!/bin/sh
# /usr/local/sbin/mtastsweb: a command of mtastsweb as the services run, for root: as their user, on
# their data, with the settings of /etc/mtastsweb/environment, which systemd alone reads as systemd.
exec systemd-run --quiet --collect --wait --pipe --pty \
    --uid=mtastsweb --gid=mtastsweb --property=UMask=0077 \
    --working-directory=/var/lib/mtastsweb --setenv=DATA_DIR=/var/lib/mtastsweb \
    --property=EnvironmentFile=-/etc/mtastsweb/environment \
    /opt/mtastsweb/.venv/bin/mtastsweb "$@"

"""The socketmap server: what Postfix asks is answered from memory, and looked up where it is not.

    listeners ── connection ── answers ── memory          one thread, the event loop
                                  │
                                pool ── lookups ── cache  threads that wait for DNS and HTTPS
    watcher, loader, clerk                                threads that read and write rows

`run` starts it, `server` puts it together; docs/decisions/0004-socketmap.md has the reasons.
"""

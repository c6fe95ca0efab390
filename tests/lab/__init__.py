"""The laboratory: a real DNS server and a real HTTPS policy host on loopback, playing any failure.

    from tests.lab import answers, replies
    from tests.lab.certificate import Certificate
    from tests.lab.lab import Lab

    with Lab() as lab:
        host = lab.domain("example.test", policy=POLICY, id="1")
        host.txt = answers.ServFail(ede=6)          # DNS, from the next query on
        host.behaviour = replies.Drip("handshake")  # HTTPS, from the next connection on
        host.certificate = Certificate.EXPIRED

`answers` holds what a name server can say, `replies` what a policy host can do, `certificate`
what it can show. This package imports nothing by itself, so that the pytest plugin loads where
`cryptography` is missing.
"""

"""`python -m bench.refresh_lab EVERY`: the laboratory, where each EVERYth policy host hangs.

0: none does. Prints the product's settings for it as NAME=VALUE lines, and then an empty line. Each
domain that it reads, one a line, publishes another policy under another id from then on.
"""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import replace

from bench.names import CHANGED_ID, CHANGED_POLICY, COUNT, MX, POLICY, RECORD_ID, hangs
from tests.lab.answers import Absent, Answer, Records
from tests.lab.lab import Lab, Served
from tests.lab.replies import Silence
from tests.lab.synthetic import serve_synthetic


def hang(lab: Lab, every: int) -> None:
    """Have each so-manyth policy host take connections and say nothing."""
    served, silent = lab.https_default, Silence("accept")

    def some_hang(sni: str) -> Served | None:
        found = served(sni) if served else None
        number = int(sni.split(".")[1][1:])  # mta-sts.d7.lab.test
        return replace(found, behaviour=silent) if found and hangs(number, every) else found

    lab.https_default = some_hang


def name_mail_host(lab: Lab) -> None:
    """Have each domain name the mail host of its policy.

    As domains do that receive mail: with none, a mail server's lookup would be good for no longer
    than the minute that this is believed.
    """
    served = lab.dns_default
    mail_hosts, addresses, no_data = Records(f"10 {MX}."), Records(lab.addresses[0]), Absent()

    def answer(name: str, type_: str) -> Answer | None:
        if name == MX:
            return addresses if type_ == "A" else no_data
        if type_ == "MX":
            return mail_hosts
        return served(name, type_) if served else None

    lab.dns_default = answer


def change_what_is_read(lab: Lab) -> None:
    """Until the end of the standard input."""
    # Unbuffered: the buffer's lock would be held at the end of the program.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
        for line in lines:
            change(lab, line.decode().strip())


def change(lab: Lab, domain: str) -> None:
    """Have this domain publish another policy, under another id."""
    txt, served = lab.dns_default, lab.https_default
    another = Records(f"v=STSv1; id={CHANGED_ID};")

    def answer(name: str, type_: str) -> Answer | None:
        if (name, type_) == (f"_mta-sts.{domain}", "TXT"):
            return another
        return txt(name, type_) if txt else None

    def serve(sni: str) -> Served | None:
        found = served(sni) if served else None
        if found and sni == f"mta-sts.{domain}":
            return replace(found, policy=CHANGED_POLICY)
        return found

    # The policy before the id, as RFC 8461 section 8.2 has it.
    lab.https_default = serve
    lab.dns_default = answer


def main() -> None:
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # the lab's threads leave them to sigwait
    with Lab(addresses=8, keep_logs=False) as lab:
        serve_synthetic(lab, COUNT, POLICY, id=RECORD_ID)
        name_mail_host(lab)
        if every := int(sys.argv[1]):
            hang(lab, every)
        for name, value in lab.settings().items():
            print(f"{name}={value}")
        print(flush=True)
        threading.Thread(target=change_what_is_read, args=(lab,), daemon=True).start()
        signal.sigwait(stops)


if __name__ == "__main__":
    main()

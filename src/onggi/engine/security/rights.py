"""Whom the container's users are on the host, what they may become, and what they may write to."""

from __future__ import annotations

from onggi.engine.security import remedies
from onggi.engine.security.findings import LOW, MEDIUM, OK, Finding, Remedy, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Facts


def examine(facts: Facts) -> Section:
    """Say who its processes are."""
    who = facts.credentials
    return Section(
        "rights",
        "Users and rights",
        findings=[_user(facts), _no_new_privs(facts), _root(facts)],
        facts={
            "HostUid": who.host_uid,
            "UserNamespace": facts.own_users,
            "NoNewPrivs": who.no_new_privs,
            "ReadonlyRootfs": facts.read_only,
        },
    )


def _user(facts: Facts) -> Finding:
    uid = facts.credentials.host_uid
    without = remedies.PRIVILEGED if facts.options["privileged"] else ()
    remedy = Remedy(("--userns", "auto"), without)
    if facts.own_users:
        what = f"its root is not the host's root: the first process is user {uid} there"
        return Finding("rights:user", OK, what)
    if uid == 0:
        what = "its root is the host's root: whoever breaks out, rules the host"
        return Finding("rights:user", MEDIUM, what, remedy)
    what = f"its users are the host's: whoever breaks out, is user {uid} there"
    return Finding("rights:user", LOW, what, remedy)


def _no_new_privs(facts: Facts) -> Finding:
    if facts.credentials.no_new_privs:
        what = "no_new_privs is set: nothing that is executed has more rights than who executes it"
        return Finding("rights:no-new-privileges", OK, what)
    what = "programs may gain rights by being executed: no_new_privs is not set"
    option = ("--security-opt", "no-new-privileges")
    return Finding("rights:no-new-privileges", MEDIUM, what, Remedy(option))


def _root(facts: Facts) -> Finding:
    if facts.read_only:
        return Finding("rights:root", OK, "its root file system is read-only")
    what = "its root file system can be written to: programs be changed, and the disk be filled"
    return Finding("rights:root", LOW, what, Remedy(("--read-only",)))

"""Kamailio as the SIP proxy and registrar of a host, by which SIP endpoints find each other.

Its configuration is written here, for one purpose: phones behind NATs register, and call each other through
it. Contacts are in memory. What a NAT has done to addresses is undone as the field does it: answers go to
where a request came from (RFC 3581), a registration keeps that place beside its Contact, a Contact that
passes has it as an alias, and the proxy stays on the path of a dialog (Record-Route). Media is the callers'
own business: nothing is relayed and no session description is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lab.emu.programs.versions import installed_version
from lab.emu.servers.listener import Listener, silent_ones, wait_until_all_answer
from lab.emu.servers.server_program import ServerProgram
from lab.emu.servers.sip_check import answers_ok
from lab.spec.network import Network, Node
from lab.spec.roles import DNS, SIP_PORT, SIP_PROXY, addresses_of, public_name

KAMAILIO: Final = "kamailio"
"""The program, and what its project calls it."""

_FILES: Final = Path("/run/callpath-kamailio")
"""A directory a node, with its configuration and control sockets; in the private /run."""
_SHARED_MEGABYTES: Final = 64
"""Memory for contacts and transactions; a contact takes some 1.2 kB."""
_PRIVATE_MEGABYTES: Final = 4
"""Memory of each process."""


def runs_kamailio(node: Node) -> bool:
    """Whether a node is a SIP proxy."""
    return node.role == SIP_PROXY


def kamailio_version() -> str:
    """Return the version of the Kamailio that is installed.

    Raises:
        HostNotReady: none is.
    """
    return installed_version(
        [KAMAILIO, "-v"],
        f"the network has a SIP proxy, and there is no program {KAMAILIO}\n"
        "  on Debian or Ubuntu `apt-get install kamailio`",
    )


class Kamailio(ServerProgram):
    """Kamailio on a node.

    Args:
        node: the proxy; it listens on all of its addresses.
        network: where it is.
    """

    name: str = "Kamailio"

    def __init__(self, node: Node, network: Network) -> None:
        super().__init__()
        self._node = node
        self._names = [public_name(node.name)] if DNS in network.by_role else []
        self._listeners = [
            Listener(transport, address, SIP_PORT)
            for address in addresses_of(node)
            for transport in ("udp", "tcp")
        ]

    def prepare(self) -> Sequence[str]:
        """Write the configuration; return Kamailio's command line."""
        directory = _FILES / self._node.name
        directory.mkdir(parents=True, exist_ok=True)
        configuration = directory / "kamailio.cfg"
        configuration.write_text(configuration_text(self._listeners, self._names), encoding="ascii")
        return [
            KAMAILIO, "-DD", "-E", "-f", str(configuration), "-Y", str(directory),
            "-P", str(directory / "pid"), "-m", str(_SHARED_MEGABYTES), "-M", str(_PRIVATE_MEGABYTES),
        ]  # fmt: skip

    async def until_it_answers(self) -> None:
        """Return when it has answered OPTIONS with 200 on each listener."""
        await wait_until_all_answer(self._listeners, answers_ok)

    def silent(self) -> str:
        """Return the listeners on which it has not answered yet."""
        return silent_ones(self._listeners)


def configuration_text(listeners: Sequence[Listener], names: Sequence[str]) -> str:
    """Return a configuration of Kamailio 5.6.

    Args:
        listeners: where to listen.
        names: the domains, beside its addresses, that it is responsible for.
    """
    head = [*_core(listeners, names), *(f'loadmodule "{name}.so"' for name in _MODULES)]
    return "\n".join([*head, *_PARAMETERS, _ROUTES])


def _core(listeners: Sequence[Listener], names: Sequence[str]) -> Iterator[str]:
    yield "#!KAMAILIO"
    yield "debug=1"  # what the routes below tell, and what goes wrong
    yield "log_stderror=yes"
    yield "children=1"  # for each UDP socket: of two processes one's 200 overtakes the other's 180
    yield "tcp_children=2"
    yield "auto_aliases=no"
    yield "dns=no"
    yield "rev_dns=no"
    yield "use_dns_cache=no"
    for listener in listeners:
        yield f"listen={listener.transport}:{listener.place}"
    for name in names:
        yield f'alias="{name}"'


_MODULES: Final = (
    *("kex", "tm", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "xlog", "sanity"),
    *("usrloc", "registrar", "nathelper"),
)
_PARAMETERS: Final = (
    'modparam("usrloc", "db_mode", 0)',
    'modparam("usrloc", "nat_bflag", 6)',
    'modparam("registrar", "min_expires", 10)',
    'modparam("nathelper|registrar", "received_avp", "$avp(received)")',
    # A client behind a NAT keeps its mapping by registering often. Kamailio could ask it by OPTIONS, but some
    # clients (baresip) take an allocation at their TURN server to answer that.
    'modparam("nathelper", "natping_interval", 0)',
)
# nat_uac_test 19: a private Contact (1), or a request from another address (2) or port (16) than in its Via.
_ROUTES: Final = """\
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (!sanity_check()) exit;
    force_rport();
    if (is_method("OPTIONS") && uri == myself && $rU == $null) { sl_send_reply("200", "OK"); exit; }
    if (is_method("REGISTER")) { route(REGISTER); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (nat_uac_test("19") && is_first_hop()) set_contact_alias();
    if (has_totag()) { route(IN_DIALOG); exit; }
    remove_hf("Route");
    if (is_method("INVITE|SUBSCRIBE")) record_route();
    if (uri != myself) { sl_send_reply("403", "Relaying Denied"); exit; }
    if (!lookup("location")) {
        xlog("L_NOTICE", "nobody is registered as $ru\\n");
        sl_send_reply("404", "Not Found");
        exit;
    }
    route(RELAY);
}

route[REGISTER] {
    if (nat_uac_test("19")) { fix_nated_register(); setbflag(6); }
    if (!save("location")) { sl_reply_error(); exit; }
    xlog("L_NOTICE", "$tu registered from $si:$sp\\n");
}

route[IN_DIALOG] {
    if (loose_route()) {
        if (!isdsturiset()) handle_ruri_alias();
        route(RELAY);
    }
    if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
    sl_send_reply("404", "Not Here");
}

route[RELAY] {
    t_on_reply("CONTACT");
    if (!t_relay()) sl_reply_error();
    exit;
}

onreply_route[CONTACT] {
    if (nat_uac_test("1")) set_contact_alias();
}
"""

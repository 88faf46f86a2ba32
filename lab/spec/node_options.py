"""Which options a topology may give to nodes, switches and links, and what each value may be.

Mininet takes any keyword and ignores what it does not know, so a misspelt option would measure another
network without a word. Here every name and every value is checked; Mininet's own options, which would have no
effect in the lab, are refused with what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.network import NodeKind
from lab.spec.roles import DNS, RELAY_PROGRAMS, SIP_PROXY, STATIC_RESOLVER
from lab.units import parse_duration, parse_port_range


@dataclass(frozen=True, slots=True)
class OptionRule:
    """What one option's value may be.

    ``type`` is the Python type; ``choices`` (empty: any) the allowed words; ``least`` and ``most`` bound
    numbers. ``names`` says that the value is the name of a node with that role, or one of ``choices``.
    ``of_lists`` wants a dictionary to have lists of texts; ``is_file``, the text to name a file. ``parse``
    raises UsageError for text that is not allowed. People are shown ``meaning``.
    """

    meaning: str
    type: type = str
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    names: str = ""
    of_lists: bool = False
    is_file: bool = False
    parse: Callable[[str], object] | None = None

    def problem(self, value: object) -> tuple[str, str] | None:
        """Return (expected, suggestion) if ``value`` is not allowed, None if it is."""
        if not isinstance(value, self.type) or (isinstance(value, bool) and self.type is not bool):
            return f"{self.meaning}: {_KIND_OF_VALUE[self.type]}", ""
        if self.of_lists and not _has_lists_of_texts(value):
            return f"{self.meaning}: a dictionary of lists of texts", ""
        if self.is_file and not Path(str(value)).is_file():
            return f"{self.meaning}: a file", ""
        if self.parse is not None:
            try:
                self.parse(str(value))
            except UsageError as error:
                return f"{self.meaning}: {error.problems[0].expected}", error.problems[0].suggestion
        if self.choices and not self.names and value not in self.choices:
            return f"{self.meaning}: one of {', '.join(self.choices)}", did_you_mean(str(value), self.choices)
        if isinstance(value, int) and self.most and not self.least <= value <= self.most:
            return f"{self.meaning}: {self.least} to {self.most}", ""
        return None


_KIND_OF_VALUE: Final[Mapping[type, str]] = {
    str: "text in quotes",
    int: "a whole number",
    bool: "True or False",
    dict: "a dictionary",
}


@dataclass(frozen=True, slots=True)
class RoleRule:
    """What a role is to the network, and the options it takes beside those of every host.

    ``addresses`` is how many addresses such a node has unless told otherwise.
    """

    kind: NodeKind
    meaning: str
    options: Mapping[str, OptionRule] = field(default_factory=dict)
    addresses: int = 1


def _has_lists_of_texts(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        for key, texts in value.items()
    )


NO_PROGRAM: Final = "host"

_PROGRAM_OPTIONS: Final[Mapping[str, OptionRule]] = {
    "resolver": OptionRule(
        'the DNS server that it asks, else all in order; or "static": no packet',
        choices=(STATIC_RESOLVER,),
        names=DNS,
    ),
}

ROLES: Final[Mapping[str, RoleRule]] = {
    "endpoint": RoleRule(
        NodeKind.HOST,
        "makes and takes calls",
        {
            "relay": OptionRule("the relay that it uses, else the nearest, which it measures", names="relay"),
            "stun": OptionRule("the STUN server that it uses, else the first, else the relay", names="stun"),
            "udp_ports": OptionRule("the ports of UDP sockets that ask for none", parse=parse_port_range),
            **_PROGRAM_OPTIONS,
        },
    ),
    "relay": RoleRule(
        NodeKind.HOST,
        "STUN and TURN server",
        {
            "permission_refresh": OptionRule("what extends a TURN permission", choices=("coturn", "rfc8656")),
            "permission_key": OptionRule("what a TURN permission admits", choices=("ip", "ip-port")),
            "program": OptionRule("which server; coturn in the kernel world alone", choices=RELAY_PROGRAMS),
            **_PROGRAM_OPTIONS,
        },
        # RFC 5780 needs a second address to answer from.
        addresses=2,
    ),
    "stun": RoleRule(NodeKind.HOST, "STUN server without TURN", _PROGRAM_OPTIONS, addresses=2),
    "rendezvous": RoleRule(NodeKind.HOST, "passes offers and answers", _PROGRAM_OPTIONS),
    SIP_PROXY: RoleRule(
        NodeKind.HOST, "SIP registrar and proxy: Kamailio, in the kernel world alone", _PROGRAM_OPTIONS
    ),
    DNS: RoleRule(
        NodeKind.HOST,
        "DNS server; where there is one, names are resolved over the network",
        {
            "names": OptionRule(
                "names beside the hosts' own, and their nodes or addresses", dict, of_lists=True
            ),
            "srv": OptionRule("services and their SRV records", dict, of_lists=True),
            "answer_delay": OptionRule("how long it thinks before it answers", parse=parse_duration),
        },
    ),
    NO_PROGRAM: RoleRule(NodeKind.HOST, "a host on which nothing runs by itself", _PROGRAM_OPTIONS),
    "router": RoleRule(NodeKind.ROUTER, "forwards packets, keeps addresses"),
    "nat": RoleRule(
        NodeKind.NAT,
        "translates or filters between inside and outside",
        {
            "isolate": OptionRule("whether hosts on different inside links are kept apart", bool),
            "sip_alg": OptionRule("whether the kernel's SIP gateway is on; on the kernel plane alone", bool),
        },
    ),
}

_ROUTER_OPTIONS: Final[Mapping[str, OptionRule]] = {
    "role": OptionRule("the node's role", choices=tuple(ROLES)),
    "uplink": OptionRule("the neighbour towards the core"),
}
_HOST_OPTIONS: Final[Mapping[str, OptionRule]] = {
    **_ROUTER_OPTIONS,
    "addresses": OptionRule("how many addresses of each family", int, least=1, most=64),
}
NODE_OPTIONS: Final[Mapping[NodeKind, Mapping[str, OptionRule]]] = {
    NodeKind.HOST: _HOST_OPTIONS,
    NodeKind.ROUTER: _ROUTER_OPTIONS,
    NodeKind.NAT: {**_HOST_OPTIONS, "nat": OptionRule("the NAT model")},
}

SEGMENT_OPTIONS: Final[Mapping[str, OptionRule]] = {
    "subnet": OptionRule('an IPv4 prefix, for example "192.168.1.0/24"'),
    "subnet6": OptionRule('an IPv6 prefix, for example "2001:db8:1::/64"'),
    "ipv6": OptionRule("whether hosts have IPv6 here", bool),
}
SWITCH_OPTIONS: Final[Mapping[str, OptionRule]] = {
    **SEGMENT_OPTIONS,
    "dpid": OptionRule('the hexadecimal number Mininet wants where the name has no digit, for example "1"'),
}
LINK_OPTIONS: Final[Mapping[str, OptionRule]] = {
    **SEGMENT_OPTIONS,
    "label": OptionRule("the link's name"),
    "impair": OptionRule("what the link does to packets", dict),
    "attached": OptionRule("whether its endpoint is on it from the start, or may move to it", bool),
}

MININET_OWN: Final[Mapping[str, str]] = {
    "ip": 'addresses are derived; give the link or switch subnet="..."',
    "defaultRoute": 'routes are derived; give the node uplink="..."',
    "delay": 'write impair={"delay": "20ms"}',
    "jitter": 'write impair={"jitter": "5ms"}',
    "loss": 'write impair={"loss": "1%"}',
    "bw": 'write impair={"rate": "10Mbit/s"}',
    "max_queue_size": 'write impair={"queue": "64KiB"}',
    "mac": "remove it",
    "name": 'a link\'s name is label="..."',
    **dict.fromkeys(
        ("addr1", "addr2", "cls", "cls1", "cls2", "cores", "cpu", "fast", "inNamespace", "intf", "intfName1",
         "intfName2", "link", "lo", "node", "params1", "params2", "port", "privateDirs", "sched"),
        "remove it",
    ),
}  # fmt: skip
"""Options that Mininet itself understands and the lab does not use, and what to do instead."""


def check_options(
    given: Mapping[str, object], rules: Mapping[str, OptionRule], where: str, whom: str
) -> list[Problem]:
    """Return a problem for every option that ``rules`` do not know, or whose value they refuse."""
    problems = []
    for name, value in given.items():
        if name not in rules:
            problems.append(_unknown(name, rules, where, whom))
        elif (refused := rules[name].problem(value)) is not None:
            expected, suggestion = refused
            problems.append(Problem(where, f"{whom}: {name}={value!r}", expected, suggestion))
    return problems


def _unknown(name: str, rules: Mapping[str, OptionRule], where: str, whom: str) -> Problem:
    if name in MININET_OWN:
        found = f"{whom}: option {name!r} is Mininet's own and would have no effect in the lab"
        return Problem(where, found, suggestion=MININET_OWN[name])
    return Problem(where, f"{whom}: unknown option {name!r}", suggestion=did_you_mean(name, rules))

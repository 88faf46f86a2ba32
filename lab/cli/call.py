"""``callpath call CALLER CALLEE``: a call in a running lab."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from lab.cli.running import LAB_OPTION, connected

EXIT_NO_PATH = 1


@click.command("call")
@click.argument("caller")
@click.argument("callee")
@click.option("--hold", default="0s", show_default=True, help="How long it is held before this returns.")
@click.option("--timeout", default="2min", show_default=True, help="For the set-up.")
@click.option("--hang-up", is_flag=True, help="End it then; else it stays up.")
@click.option("--json", "as_json", is_flag=True, help="Print the call as JSON.")
@LAB_OPTION
def command(
    caller: str, callee: str, hold: str, timeout: str, hang_up: bool, as_json: bool, lab_name: str
) -> int:
    """Make a call between two endpoints; exit status 1 if it found no path.

    Of SIP calls without media (SIPp) it is told how many were completed; exit status 1 if one failed.
    """
    with connected(lab_name) as (client, name):
        call = client.ask("call", lab=name, caller=caller, callee=callee, hold=hold, timeout=timeout)
        if hang_up:
            client.ask("hang_up", lab=name, call=call["call"])
    if as_json:
        click.echo(json.dumps(call, indent=2))
    elif call["signalling_only"]:
        click.echo(_sip_words(call))
    elif call["connected"]:
        click.echo(f"{call['call']}: {call['path']}, set up in {call['setup_time'] * 1e3:.0f} ms")
    else:
        sides = [side for side in (call["caller"], call["callee"]) if side]
        reasons = "; ".join(f"{side['node']}: {side['failed']}" for side in sides if side["failed"])
        click.echo(f"{call['call']}: no path{f' ({reasons})' if reasons else ''}")
    return 0 if call["connected"] or _all_completed(call) else EXIT_NO_PATH


def _all_completed(call: Mapping[str, Any]) -> bool:
    sip = call["sip"]
    return bool(call["signalling_only"] and sip and sip["completed"] and not sip["failed"])


def _sip_words(call: Mapping[str, Any]) -> str:
    from lab.report.sip_text import sip_words

    sip = call["sip"] or {"completed": 0, "failed": {}, "setup_median": None}
    return f"{call['call']}: SIP calls: {sip_words(sip['completed'], sip['failed'], sip['setup_median'])}"

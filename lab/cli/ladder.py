"""``callpath ladder RUN [TRIAL]``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.stored import RESULTS_OPTION, look_at_trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.measure.trace import PacketKind
    from lab.report.ladder import Ladder, Selection
    from lab.run.replay import Replay


@click.command("ladder")
@click.argument("run")
@click.argument("trial", default="", metavar="[TRIAL|CALL]")
@click.option("--only", metavar="KIND[,KIND]", default="", help="stun, turn, media, tcp, dns, icmp, udp.")
@click.option("--routers", is_flag=True, help="Give routers and switches columns too.")
@click.option(
    "--width", type=click.IntRange(min=40), default=120, show_default=True, help="Characters a line."
)
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture there instead of text."
)
@RESULTS_OPTION
def command(
    run: str, trial: str, only: str, routers: bool, width: int, svg: Path | None, results: Path
) -> None:
    """Draw what the packets of a stored trial did: nodes side by side, NAT boxes among them, time down.

    RUN is a run's directory, "latest", or how its name begins. TRIAL is how a trial's key begins, or a cell
    such as alice_nat=symmetric,bob_nat=cgn (its first repetition); without it the first trial that found no
    path, else the first relayed one. CALL is the name of a call in that trial, or TRIAL/CALL.

    A trial of the kernel world cannot be run again: its ladder is that of its capture, if it has one.
    """
    from lab.report.ladder import ladder_of
    from lab.report.ladder_text import ladder_text

    kinds = _kinds(only)
    _, stored, call, replay = look_at_trial(run, trial, results)
    ladder = ladder_of(replay.trace, stored.title, selection_of(replay, call, kinds, routers=routers))
    if svg is None:
        click.echo(ladder_text(ladder, width=width))
    else:
        _write_svg(svg, ladder)


def _write_svg(path: Path, ladder: Ladder) -> None:
    from lab.errors import HostNotReady
    from lab.report.ladder_svg import ladder_svg

    try:
        path.write_text(ladder_svg(ladder), encoding="utf-8")
    except OSError as error:
        raise HostNotReady(f"{path}: cannot be written ({error.strerror})") from None
    click.echo(f"written to {path}", err=True)


def _kinds(text: str) -> list[PacketKind]:
    from lab.errors import Problem, UsageError, did_you_mean
    from lab.measure.trace import PacketKind

    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [kind.value for kind in PacketKind]
    problems = [
        Problem(f"--only {name}", "no such kind of packet", suggestion=did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)
    return [PacketKind(name) for name in names]


def selection_of(
    replay: Replay, call: str = "", kinds: Sequence[PacketKind] = (), *, routers: bool = False
) -> Selection:
    """Return what of a replay goes into its ladder: one call or the whole trial, all kinds or some."""
    from lab.report.ladder import Selection

    records = [record for record in replay.result.calls if not call or record.call == call]
    sides = [side.node for side in (records[0].caller, records[0].callee) if side] if records else []
    ends = (sides[0], sides[1]) if len(sides) == 2 else None
    if not call:
        return Selection(only=kinds, routers=routers, ends=ends if len(replay.result.calls) == 1 else None)
    times = [event.time for event in replay.events if event.call == call]
    return Selection(only=kinds, routers=routers, since=min(times), until=max(times), ends=ends)

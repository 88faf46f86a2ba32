"""The report's pictures as files: from any stored run, by any parameter, the same bytes each time."""

import pytest
from made_up_run import row, source, trial

from lab.cli.main import run_command_line
from lab.errors import UsageError
from lab.report.run_plots import PlotKind, plot_run

SHARE, TIMES, PATHS = PlotKind.RELAY_SHARE, PlotKind.SETUP_TIME, PlotKind.PATHS


def texts(figure):
    """Return every text that a figure shows."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def made_up(paths=("host", "relay", "relay", "none")):
    trials = [
        trial(n, {"alice_nat": "cgn" if n % 2 else "none", "loss": n % 2 == 0}) for n in range(len(paths))
    ]
    return source(
        trials, [row(t, p, setup_time=0.1 * (t.position + 1)) for t, p in zip(trials, paths, strict=True)]
    )


@pytest.mark.requirement("Z1-12")
def test_shares_on_the_relay_are_of_all_calls_and_by_every_parameter_that_varies():
    shown = texts(plot_run(made_up(), SHARE))
    assert {"all calls", "alice_nat none", "alice_nat cgn", "loss true", "loss false"} <= set(shown)
    assert "2 of 3" in shown, "the call without a path is none of those that connected"
    assert "made_up: calls on the relay" in shown


def test_a_share_is_drawn_with_its_interval():
    axes = plot_run(made_up(), SHARE, by="loss").axes[0]
    bar = axes.lines[0].get_xdata()
    assert bar == pytest.approx([0.2077, 0.9385], abs=1e-4), "Wilson's, of two in three"
    assert list(axes.lines[1].get_xdata()) == [pytest.approx(2 / 3)]


def test_set_up_times_are_by_path_or_by_the_parameter_that_is_named():
    by_path = plot_run(made_up(), TIMES)
    assert [text.get_text()[:10] for text in by_path.legends[0].get_texts()] == [
        "host: n=1 ",
        "relay: n=2",
    ]
    by_name = plot_run(made_up(), TIMES, by="alice_nat")
    legend = [text.get_text() for text in by_name.legends[0].get_texts()]
    assert legend[0].startswith("alice_nat none: n=2  p50 100 ms  p95 300 ms  p99 300 ms")


@pytest.mark.parametrize("kind", PlotKind)
@pytest.mark.parametrize("rows", [(), ("none", "none")])
def test_a_run_without_a_connected_call_is_drawn_all_the_same(kind, rows, tmp_path):
    plot_run(made_up(rows), kind).savefig(tmp_path / "plot.svg")


def test_one_parameter_makes_a_matrix_of_one_row():
    trials = [trial(0, {"nat": "a"}), trial(1, {"nat": "b"})]
    shown = texts(plot_run(source(trials, [row(t) for t in trials]), PATHS))
    assert {"a", "b", "nat"} <= set(shown)


@pytest.mark.parametrize(
    ("kind", "by", "because"),
    [(SHARE, "alice_nta", "alice_nat"), (TIMES, "x", "no such"), (PATHS, "loss", "matrix")],
)
def test_a_parameter_that_cannot_be_is_refused(kind, by, because):
    with pytest.raises(UsageError, match=because):
        plot_run(made_up(), kind, by=by)


# The command


def test_all_plots_are_written_into_the_run_under_the_names_of_the_report(failing_run, tmp_path, capsys):
    copy = tmp_path / failing_run.name
    copy.mkdir()
    for name in ("manifest.json", "result.json", "trials.parquet"):
        (copy / name).write_bytes((failing_run / name).read_bytes())
    assert run_command_line(["plot", str(copy)]) == 0
    written = {
        f"{name}{ending}" for name in ("paths", "setup_time", "relay_share") for ending in (".svg", ".png")
    }
    assert {path.name for path in copy.iterdir() if path.suffix in {".svg", ".png"}} == written
    assert capsys.readouterr().err.count("written to") == 6
    assert run_command_line(["plot", str(copy), "--by", "alice_nat", "--kind", "relay-share"]) == 0
    assert (copy / "relay_share_by_alice_nat.png").exists()


@pytest.mark.parametrize(("ending", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_one_plot_can_be_written_anywhere_in_either_format(failing_run, tmp_path, ending, begins):
    target = tmp_path / f"own{ending}"
    arguments = ["plot", str(failing_run), "--kind", "setup-time", "--by", "bob_nat", "-o", str(target)]
    assert run_command_line(arguments) == 0
    once = target.read_bytes()
    assert once.startswith(begins)
    assert run_command_line(arguments) == 0
    assert target.read_bytes() == once


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (["-o", "x.png"], "one file holds one plot"),
        (["--kind", "paths", "--kind", "setup-time", "-o", "x.png"], "one file holds one plot"),
        (["--kind", "paths", "-o", "x.bmp"], ".png or .svg"),
        (
            ["-o", "x.jpg"],
            "-o x.jpg: no plot is written as .jpg\n  expected a name ending in .png or .svg\n-o: one",
        ),
        (
            ["--kind", "paths", "-o", "x"],
            "-o x: which format is not said\n  expected a name ending in .png or .svg",
        ),
        (["--kind", "path"], "paths"),
        (["--by", "alcie_nat"], "alice_nat"),
    ],
)
def test_what_cannot_be_plotted_is_a_usage_error(
    failing_run, arguments, because, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["plot", str(failing_run), *arguments]) == 2
    assert because in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

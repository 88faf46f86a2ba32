"""Every notebook runs from top to bottom, says what it found, and is kept without its outputs."""

import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

pytestmark = pytest.mark.real_time

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    """Return a notebook as it is kept."""
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(scope="module")
def executed(notebook, tmp_path_factory):
    """Return the notebook with what its cells gave, in a process of its own."""
    folder = tmp_path_factory.mktemp("notebook")
    # The kernel listens on sockets in the file system, whose paths must be short: on no port of the machine.
    with tempfile.TemporaryDirectory() as sockets, pytest.MonkeyPatch.context() as environment:
        environment.setenv("JUPYTER_RUNTIME_DIR", sockets)
        for variable in ("HOME", "IPYTHONDIR", "MPLCONFIGDIR", "TMPDIR"):
            environment.setenv(variable, str(folder))
        environment.delenv("CALLPATH_RUN", raising=False)
        copy = nbformat.from_dict(notebook)
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        where = {"metadata": {"path": str(folder)}}
        NotebookClient(copy, timeout=200, resources=where, config=config).execute()
    return copy


def outputs(executed, cell_id):
    """Return what one cell printed and the text of its last value."""
    (cell,) = (cell for cell in executed.cells if cell.id == cell_id)
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_there_is_a_notebook():
    assert [path.stem for path in NOTEBOOKS] == ["reading_a_run"]


def test_it_is_kept_without_outputs_and_without_traces_of_a_machine(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert not cell.metadata
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}


def test_every_cell_runs_without_complaint(executed):
    streams = [o for cell in executed.cells if cell.cell_type == "code" for o in cell.outputs]
    assert [o.text for o in streams if o.output_type == "stream" and o.name == "stderr"] == []
    pictures = [o for o in streams if "image/png" in o.get("data", {})]
    assert len(pictures) == 3


@pytest.mark.requirement("Z1-12")
def test_it_says_the_share_on_the_relay_with_its_interval_and_the_capacity_that_asks_for(executed):
    share = outputs(executed, "share")
    relayed, calls = (int(word) for word in share.split(":")[0].split()[::2] if word.isdigit())
    assert 0 < relayed < calls <= 300
    assert f"{relayed / calls:.1%}, 95 % interval" in share
    capacity = outputs(executed, "capacity")
    assert "crossings a relayed call" in capacity
    for line in (
        "share on the relay",
        "erlangs",
        "relayed calls at once, to provide",
        "Mbit/s through the relays",
    ):
        assert line in capacity

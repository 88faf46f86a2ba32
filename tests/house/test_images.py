"""The images are built with the pip of whichever Python builds them."""

import pytest

from lab.errors import HostNotReady
from tools import images


def test_the_pip_of_the_python_that_runs_is_found():
    assert images._pip_wheel().is_file()


def test_a_distribution_may_keep_its_wheels_in_a_place_of_its_own(monkeypatch, tmp_path):
    """As Debian does: its ensurepip has none."""
    monkeypatch.setattr(images.sysconfig, "get_config_var", {"WHEEL_PKG_DIR": str(tmp_path)}.get)
    (tmp_path / "setuptools-66.1.1-py3-none-any.whl").touch()
    with pytest.raises(HostNotReady, match=f"no wheel of pip in {tmp_path}: install python3-venv"):
        images._pip_wheel()
    (tmp_path / "pip-23.0.1-py3-none-any.whl").touch()
    assert images._pip_wheel() == tmp_path / "pip-23.0.1-py3-none-any.whl"

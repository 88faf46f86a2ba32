"""Every plane works without root: in a user namespace, connection tracking and packet sockets included."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user

PROGRAM = Path(__file__).parents[1] / "programs" / "certify_planes.py"


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "nft", "conntrack", "setpriv")
def test_boxes_of_every_plane_are_certified_as_an_ordinary_user():
    command, environment = as_ordinary_user([sys.executable, str(PROGRAM)])
    root = Path(__file__).parents[3]
    environment = {**environment, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), str(root)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["user"] != 0
    assert found["problems"] == {"nft": [], "kernel": [], "engine": []}

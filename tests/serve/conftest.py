"""A server as a process of its own, and a client that writes bytes to it."""

import json
import os
import socket
import subprocess
import sys

import jsonschema
import pytest

from lab.serve.schema import serve_schema

REQUEST = jsonschema.Draft202012Validator(serve_schema())
SAID = jsonschema.Draft202012Validator({**serve_schema()["$defs"]["Said"], "$defs": serve_schema()["$defs"]})

PATIENCE = 60.0
"""Seconds for an answer, on a machine that is busy with much else."""


class RawClient:
    """A connection on which anything may be said."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.lines = self.socket.makefile("rb")

    def send(self, data: bytes):
        self.socket.sendall(data)

    def hear(self):
        """Return the next line as JSON, None where the server has closed the connection.

        Whatever it says is what the schema says of it.
        """
        line = self.lines.readline()
        if not line:
            return None
        said = json.loads(line)
        SAID.validate(said)
        return said

    def ask(self, do, **fields):
        """Ask, and return the answer; what the server does, the schema allows."""
        self.send(json.dumps({"do": do, **fields}).encode() + b"\n")
        answer = self.hear()
        if answer["ok"]:
            REQUEST.validate({"do": do, **fields})
        return answer

    def close(self):
        self.lines.close()
        self.socket.close()


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Start ``callpath serve`` with these options; return the process and its first line."""
    started = []

    def start(*options, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.cli", "serve", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "CALLPATH_RUNTIME_DIR": str(tmp_path_factory.mktemp("run") / "callpath"),
                **environment,
            },
        )
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.terminate()
        process.wait(PATIENCE)
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(scope="module")
def server(start_server):
    """A server on a Unix socket; its path."""
    return start_server()[1]["unix"]


@pytest.fixture
def connect():
    """Connect to a Unix socket's path or to a TCP address; closed when the test is over."""
    clients = []

    def to(address):
        clients.append(RawClient(address))
        return clients[-1]

    yield to
    for client in clients:
        client.close()


@pytest.fixture
def client(server, connect):
    """A connection to it."""
    return connect(server)


@pytest.fixture
def homes(client):
    """A client whose server has a lab of its own for the test."""
    lab = client.ask("open", topology="two_homes")["result"]["lab"]
    yield lambda do, **fields: client.ask(do, lab=lab, **fields)
    client.ask("close", lab=lab)

"""An agent for tests of NAT planes: calls functions of the modules beside it and sends back what they return.

A request is a pickled (module, function, arguments, named arguments), an answer a pickled (whether it
returned, result or traceback), each after its length in four bytes.
"""

import importlib
import pickle
import socket
import sys
import traceback

channel = socket.socket(fileno=int(sys.argv[-1]))
with channel.makefile("rwb") as stream:
    while head := stream.read(4):
        module, function, arguments, named = pickle.loads(stream.read(int.from_bytes(head)))  # noqa: S301 - of the test
        try:
            answer = (True, getattr(importlib.import_module(module), function)(*arguments, **named))
        except BaseException:  # noqa: BLE001 - told to the test
            answer = (False, traceback.format_exc())
        data = pickle.dumps(answer)
        stream.write(len(data).to_bytes(4) + data)
        stream.flush()

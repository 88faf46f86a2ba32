"""Certify one box of every plane in an outer namespace of whoever runs this, and print what did not fit."""

import json
import os

from nat_calls import Inside

from lab.emu.nat_planes import NatPlane
from lab.emu.outer import OuterNamespace
from nat_models import load_preset

BOXES = {NatPlane.NFT: "apdm-adf", NatPlane.KERNEL: "linux-masquerade", NatPlane.ENGINE: "rfc4787"}

with OuterNamespace("nat_agent") as outer:
    call = Inside(outer)
    problems = {
        plane.value: call("nat_certificates", "certify", plane, [(load_preset(name), 1)])[0][1]
        for plane, name in BOXES.items()
    }
print(json.dumps({"user": os.geteuid(), "problems": problems}))

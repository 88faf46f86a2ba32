"""SIPp as an endpoint: it makes thousands of calls, and answers them.

``python -m lab.adapters.sipp``. Every such node answers calls at UDP 5060 from the start; told to dial, it
makes ``calls`` calls, ``rate`` a second, to the other node. To the lab the whole load is one call, which ends
when the last of them has; what became of them is told by weighted events. Signalling alone: no media is sent.
"""

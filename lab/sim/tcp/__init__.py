"""TCP in virtual time: a connection without I/O, the stack of a host, and asyncio transports over it."""

from lab.sim.tcp.config import TcpConfig
from lab.sim.tcp.stack import TcpHost, TcpStack
from lab.sim.tcp.transport import TcpTransport

__all__ = ["TcpConfig", "TcpHost", "TcpStack", "TcpTransport"]

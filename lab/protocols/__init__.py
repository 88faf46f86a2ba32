"""Sans-I/O codecs and state machines: bytes and `now` in, bytes and timers out."""

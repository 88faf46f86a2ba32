"""Programs that run on a host, in either world: asyncio only, they never learn which world they are in."""

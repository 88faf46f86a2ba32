"""Two runs beside each other: what came of each cell, and what of it changed. Pure arithmetic."""

"""Whether a trial ran as it was planned: when calls begin, how late packets are, what is a stall."""

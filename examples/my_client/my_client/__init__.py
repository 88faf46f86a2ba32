"""A doorbell: a phone keeps in touch with a server over UDP, and the server rings it."""

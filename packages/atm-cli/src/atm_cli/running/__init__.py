"""``atm run``: inputs in, one JSON line each out, with a journal that survives a kill."""

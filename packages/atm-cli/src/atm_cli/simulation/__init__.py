"""``atm simulate``: the real strategies in virtual time."""

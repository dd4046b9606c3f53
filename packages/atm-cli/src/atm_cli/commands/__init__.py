"""One module a command; each has the ``click`` command under the name ``command``."""

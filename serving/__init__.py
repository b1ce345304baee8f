"""The doors: command line, batch labelling, HTTP service."""

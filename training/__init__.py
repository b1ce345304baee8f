"""Labelled cases and what is measured on them. Never needed to serve an answer."""

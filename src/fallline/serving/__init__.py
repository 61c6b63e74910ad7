"""Serving: a model's predictions over HTTP."""

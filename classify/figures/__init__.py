"""Figures of a finished run: the paper's twelve and more, as PNG and SVG in one style.

Needs the extra ``report``.
"""

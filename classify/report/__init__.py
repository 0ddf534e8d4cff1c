"""The report of a finished run: figures, tables and one page that opens anywhere.

Needs the extra ``report``.
"""

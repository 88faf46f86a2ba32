"""A stored run as one HTML file: no script, font, style or picture comes from anywhere else.

:func:`page.report_html` makes it from a :class:`source.Source`. What it says is in the modules beside it, one
a section; how it looks is in ``templates``.
"""

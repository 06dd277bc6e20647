"""A course on labkit's assignments: hand out, collect, grade, give feedback.

Thin over nbgrader; needs `pip install 'labkit[course]'`.

Students' code never runs where grades are kept: it answers through a pipe, out of a process that is shut off (`sandbox`), and
`labkit.grading` judges what comes out.
"""

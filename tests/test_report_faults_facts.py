"""What is said without alarm is said plainly."""

import torch
from test_report_faults import findings, generator


def test_labels_at_chance_are_misaligned_or_about_something_else():
    g = generator()
    [found] = [
        f
        for f in findings(z1=torch.randn(300, 16, generator=g), labels=torch.randint(3, (300,), generator=g))
        if f.of == "labels"
    ]
    assert not found.alarm and "misaligned, or about something" in found.says


def test_a_long_row_among_many_is_named_though_it_does_not_drown_them():
    z = torch.randn(4000, 8, generator=generator())
    z[70] *= 25
    [found] = [f for f in findings(z1=z) if f.code == "dominating-row"]
    assert not found.alarm and found.evidence["row"] == 70 and found.evidence["share"] < 0.2

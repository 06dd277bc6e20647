"""What is said without alarm is said plainly."""

import torch
from test_report_faults import findings, generator

from labkit.report.faults import matching


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


def test_partners_that_are_lost_among_noisy_ones_are_known_by_their_places():
    """Cosines of partners have one mode where the rows lie along few axes: places among the candidates tell all the same."""
    g = generator()
    wide = 5 * 0.7 ** torch.arange(16)
    z = torch.randn(600, 16, generator=g) * wide
    z = z @ torch.linalg.qr(torch.randn(16, 16, generator=g))[0]
    one, other = (z + 0.4 * torch.randn(600, 16, generator=g) for _ in range(2))
    assert not [f.says for f in findings(z1=one, z2=other) if f.alarm]
    order, some = torch.arange(600), torch.randperm(600, generator=g)[:240]
    order[some] = some.roll(1)
    [found] = [f for f in findings(z1=one, z2=other[order]) if f.alarm]
    assert found.code == "shuffled-pairs" and "anywhere" in found.says and 0.25 < found.evidence["share"] < 0.5


def test_rows_that_are_nothing_but_noise_are_not_shuffled():
    """A short row has any direction, and so has its partner."""
    g = generator()
    z = torch.randn(800, 16, generator=g)
    z[:200] *= 1e-3
    one, other = (z + 0.1 * torch.randn(800, 16, generator=g) for _ in range(2))
    directions = torch.nn.functional.normalize(one), torch.nn.functional.normalize(other)
    alike = torch.ones(800), torch.ones(800)
    assert 60 < len(matching.lost(*directions, alike)) < 140
    assert len(matching.lost(*directions, (one.norm(dim=1), other.norm(dim=1)))) == 0

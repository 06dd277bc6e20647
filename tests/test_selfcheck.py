"""The right answers of the self-check are right: each is computed here."""

import math

import torch

from labkit.selfcheck import QUESTIONS, asked, selfcheck


def computed():
    """What each question's right answer must begin with."""
    yield f"log 4 = {torch.nn.functional.cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item():.3f}"
    yield f"1000 + log 2 = {torch.logsumexp(torch.tensor([1000.0, 1000.0]).double(), 0).item():.2f}"
    z = torch.randn(6, 3)
    yield str(tuple((z[:, None] - z[None, :]).square().sum(-1).shape))
    line = torch.randn(100, 1).double() @ torch.randn(1, 3).double()
    yield str(int((torch.linalg.svdvals(line) > 1e-9).sum()))
    logits = torch.zeros(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(-logits.log_softmax(0)[0], logits)
    yield "[" + ", ".join(f"{g:+.1f}" for g in gradient.tolist()) + "]"
    yield "the second"  # by the convention of labkit.preferences.sequence_logps: logits[:, t] predicts labels[:, t + 1]


def test_right_answers_are_right():
    assert math.isclose(math.log(4), 1.386, abs_tol=5e-4)
    assert [q.answers[q.right][0] for q in QUESTIONS] == list(computed())


def test_each_question_has_three_answers_one_of_them_right_and_a_reply_to_each():
    for number, question in enumerate(QUESTIONS, 1):
        made = asked(question, number)
        assert made.count('type="radio"') == made.count('class="said"') == 3
        assert made.count("<b>Yes.</b>") == 1 and made.count("<b>Not quite.</b>") == 2
        assert all(reply.endswith(".") for _, reply in question.answers)


def test_a_script_asks_nobody(capsys):
    selfcheck()
    assert capsys.readouterr().out == ""

"""Recompute `pairwise.json` with other people's code: `python tests/oracles/regenerate_pairwise.py SOURCES [--write]`.

No test runs it. SOURCES is a folder with the wheels trl 0.11.4 and 1.16.0 and liger-kernel 0.8.5 as `NAME-VERSION`, and
a clone of each repository below, as `owner+name`. As in `regenerate.py`, only the functions that are named are taken out of a
file and run, and statements that stand in a training loop are run by themselves. Without `--write` the numbers are compared
with those that are stored.
"""

import argparse
import ast
import contextlib
import functools
import json
import math
import types
import typing
import warnings
from collections import defaultdict
from enum import Enum
from pathlib import Path

import torch
import torch.nn.functional as F
from regenerate import clone, dumps, pieces
from torch import nn

STORE = Path(__file__).with_name("pairwise.json")
HERE = types.SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)
FOUR = ["chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps"]
LENGTHS = ["chosen_lengths", "rejected_lengths"]
TOKENS = [name.replace("logps", "token_logps") for name in FOUR]
MASKS = ["chosen_mask", "rejected_mask"]


def method(file, name, **given):
    """A method as a function of `self` and the rest; what it imports by itself is taken out."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    node.body = [line for line in node.body if not isinstance(line, ast.ImportFrom)]
    node.decorator_list = []
    space = {**vars(typing), "torch": torch, "nn": nn, "F": F, "math": math, "warnings": warnings, **given}
    exec(compile(ast.Module([node], []), str(file), "exec"), space)
    return space[name]


def statements(file, *targets, inside=None, **given):
    """Runs the assignments to these names, wherever they stand (in that function), in this order; returns all names."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    if inside:
        tree = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == inside)
    space = {"torch": torch, "nn": nn, "F": F, **given}
    for target in targets:
        found = [n for n in ast.walk(tree) if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == target]
        exec(compile(ast.Module([found[-1]], []), str(file), "exec"), space)
    return space


def each(fn, *columns):
    """One call for each example, as a batch of its own."""
    return torch.stack([fn(*(c[i : i + 1] for c in columns)).mean() for i in range(len(columns[0]))])


def from_trl_today(folder):
    """Every loss of `_compute_loss`, which asks a model for log-probabilities of tokens: here an answer that says them."""
    file, source = Path(folder) / "trl-1.16.0/trl/trainer/dpo_trainer.py", "trl 1.16.0"
    quiet = {"is_peft_model": lambda model: False, "disable_gradient_checkpointing": lambda *_: contextlib.nullcontext()}
    compute = method(file, "_compute_loss", **quiet)

    def says(logps, squares=None):
        zeros = torch.zeros_like(logps)
        answer = types.SimpleNamespace(log_probs=logps, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())
        answer.log_sum_sq_probs = zeros if squares is None else squares
        return lambda **_: answer

    def run(loss_type, tokens, masks, refs, ref_tokens=None, squares=None, **options):
        mask = F.pad(torch.cat(masks).long(), (1, 0))
        trainer = types.SimpleNamespace(
            **{"beta": 0.1, "label_smoothing": 0.0, "ld_alpha": None, "f_divergence_type": "reverse_kl", **options},
            args=types.SimpleNamespace(discopop_tau=0.05, gradient_checkpointing_kwargs=None),
            model=nn.Module(),
            accelerator=HERE,
            _tp_size=1,
            aux_loss_enabled=False,
            precompute_ref_logps=ref_tokens is None,
            loss_types=[loss_type],
            loss_weights=[1.0],
            use_weighting=squares is not None,
            _metrics=defaultdict(lambda: defaultdict(list)),
            _total_train_tokens=0,
            ref_model=says(torch.cat(ref_tokens)) if ref_tokens else None,
        )
        batch = {"input_ids": mask, "completion_mask": mask, "attention_mask": mask}
        batch |= dict(zip(FOUR[2:], refs, strict=True)) if refs else {}
        return compute(trainer, says(torch.cat(tokens), squares), batch, False)

    def spread(logps, lengths):  # over as many tokens as the answer has
        mask = torch.arange(9) < lengths[:, None]
        return logps[:, None] / lengths[:, None] * mask, mask

    def sequences(loss_type, whole=False, **fixed):
        def fn(cw, cl, rw, rl, nw=None, nl=None, **options):
            nw, nl = (torch.ones(len(cw)) if n is None else n for n in (nw, nl))

            def call(cw, cl, rw, rl, nw, nl):
                (tw, mw), (tl, ml) = spread(cw, nw), spread(cl, nl)
                return run(loss_type, [tw, tl], [mw, ml], [rw, rl], **fixed, **options)

            return call(cw, cl, rw, rl, nw, nl) if whole else each(call, cw, cl, rw, rl, nw, nl)

        return fn

    def weighted(tw, tl, sw, sl, mw, ml, rw, rl, beta):
        def call(tw, tl, sw, sl, mw, ml, rw, rl):
            return run("sigmoid", [tw * mw, tl * ml], [mw, ml], [rw, rl], squares=torch.cat([sw, sl]), beta=beta)

        return each(call, tw, tl, sw, sl, mw, ml, rw, rl)

    def damped(tw, tl, rw, rl, mw, ml, beta, alpha):
        def call(tw, tl, rw, rl, mw, ml):
            refs = [rw * mw, rl * ml]  # its model says 0 where there is no answer
            return run("sigmoid", [tw * mw, tl * ml], [mw, ml], None, refs, beta=beta, ld_alpha=alpha)

        return each(call, tw, tl, rw, rl, mw, ml)

    plain = {
        "dpo": "sigmoid",
        "hinge": "hinge",
        "nca": "nca_pair",
        "bco": "bco_pair",
        "sppo": "sppo_hard",
        "discopop": "discopop",
    }
    for entry, loss_type in (plain | {"apo_zero": "apo_zero", "apo_down": "apo_down"}).items():
        yield entry, FOUR, [{"beta": 0.1}, {"beta": 0.7}], sequences(loss_type), f"DPOTrainer, {loss_type}", source
    for entry, loss_type in {"robust_dpo": "robust", "exo": "exo_pair"}.items():
        yield (
            entry,
            FOUR,
            [{"label_smoothing": e} for e in (0.1, 0.3)],
            sequences(loss_type),
            f"DPOTrainer, {loss_type}",
            source,
        )
    for name in ("aot", "aot_unpaired"):
        options = [{"beta": 0.5}, {"label_smoothing": 0.2}]
        yield name, FOUR, options, sequences(name, whole=True), f"DPOTrainer, {name}", source
    for entry, loss_type in {"ipo_norm": "ipo", "dpo_norm": "sigmoid_norm"}.items():
        yield entry, FOUR + LENGTHS, [{"beta": 0.1}, {"beta": 2.0}], sequences(loss_type), f"DPOTrainer, {loss_type}", source
    for divergence, name in {"forward_kl": "forward_kl", "js": "js_divergence"}.items():
        fn = sequences("sigmoid", f_divergence_type=name)
        options = [{"beta": 0.1, "divergence": divergence}]
        yield "f_dpo", FOUR, options, lambda *q, fn=fn, divergence, **o: fn(*q, **o), f"DPOTrainer, {name}", source
    yield "ld_dpo", TOKENS + MASKS, [{"beta": 0.1, "alpha": a} for a in (0.0, 0.3)], damped, "DPOTrainer, ld_alpha", source
    yield "wpo", [*TOKENS[:2], *SQUARES, *MASKS, *FOUR[2:]], [{"beta": 0.1}], weighted, "DPOTrainer, use_weighting", source


SQUARES = ["chosen_square_logps", "rejected_square_logps"]


def from_trl_cpo(folder):
    bare = method(Path(folder) / "trl-1.16.0/trl/experimental/cpo/cpo_trainer.py", "cpo_loss")

    def bent(cw, cl, nw, nl, beta, gamma, alpha):
        known = {"loss_type": "simpo", "label_smoothing": 0.0, "accelerator": HERE}
        return bare(types.SimpleNamespace(**known, beta=beta, simpo_gamma=gamma, alpha=alpha), cw / nw, cl / nl)[0]

    options = [{"beta": b, "gamma": g, "alpha": a} for b, g, a in ((2.5, 0.1, 0.25), (2.0, 0.5, -0.5), (2.0, 0.5, 0.0))]
    yield "alpha_po", FOUR[:2] + LENGTHS, options, bent, "CPOTrainer.cpo_loss, alpha", "trl 1.16.0"
    fn = lambda *q, **options: bent(*q, **options, alpha=0.0)  # noqa: E731
    yield "simpo", FOUR[:2] + LENGTHS, [{"beta": 2.0, "gamma": 0.5}], fn, "CPOTrainer.cpo_loss, simpo", "trl 1.16.0"

    def plain(cw, cl, loss_type="sigmoid", beta=1.0, **_):
        known = {"label_smoothing": 0.0, "accelerator": HERE, "alpha": 0.0}
        return bare(types.SimpleNamespace(**known, loss_type=loss_type, beta=beta), cw, cl)[0]

    yield "cpo", FOUR[:2], [{"beta": 0.1, "sft": 0.0}], plain, "CPOTrainer.cpo_loss, sigmoid", "trl 1.16.0"
    hinged = functools.partial(plain, loss_type="hinge")
    yield "slic", FOUR[:2], [{"margin": 1.0}], hinged, "CPOTrainer.cpo_loss, hinge", "trl 1.16.0"


def from_liger(folder):
    home, source = Path(folder) / "liger_kernel-0.8.5/liger_kernel/chunked_loss", "liger-kernel 0.8.5"

    def alone(file, **fixed):
        loss = method(home / file, "preference_loss_fn")
        one = torch.zeros(2)  # the target's shape says how many pairs there are
        return lambda *q, **options: each(lambda *x: loss(x[0], x[1], one, *x[2:], **fixed, **options)[0], *q)

    named = {
        "dpo": "sigmoid",
        "hinge": "hinge",
        "exo": "exo_pair",
        "nca": "nca_pair",
        "robust_dpo": "robust",
        "bco": "bco_pair",
    }
    named |= {"sppo": "sppo_hard", "apo_zero": "apo_zero", "apo_down": "apo_down", "discopop": "discopop"}
    for entry, kind in named.items():
        options = {"beta": 0.3} | ({"label_smoothing": 0.2} if entry in ("exo", "robust_dpo") else {})
        yield entry, FOUR, [options], alone("dpo_loss.py", loss_type=kind), f"LigerFusedLinearDPO, {kind}", source
    smoothed = alone("cpo_loss.py")
    fn = lambda *q, sft, **options: smoothed(*q, **options)  # noqa: E731
    yield "cpo", FOUR[:2], [{"beta": 0.1, "label_smoothing": 0.2, "sft": 0.0}], fn, "LigerFusedLinearCPO", source
    for entry, fixed in {
        "simpo": {"beta": 2.0, "gamma": 0.7, "label_smoothing": 0.1},
        "orpo": {"beta": 0.4, "sft": 0.0},
    }.items():
        loss = alone(f"{entry}_loss.py")

        def per_token(cw, cl, nw, nl, loss=loss, **options):  # ORPO without its imitation term
            return loss(cw / nw, cl / nl, **{k: v for k, v in options.items() if k != "sft"})

        yield entry, FOUR[:2] + LENGTHS, [fixed], per_token, f"LigerFusedLinear{entry}", source


def from_trl_before(folder):
    file, source = Path(folder) / "trl-0.11.4/trl/trainer/dpo_trainer.py", "trl 0.11.4"
    names = pieces(Path(folder) / "trl-0.11.4/trl/trainer/dpo_config.py", "FDivergenceType", "FDivergenceConstants", Enum=Enum)
    caps = pieces(Path(folder) / "trl-0.11.4/trl/trainer/utils.py", "cap_exp", "get_exp_cap")
    loss = method(file, "dpo_loss", **vars(names), **vars(caps))

    def trainer(**options):
        defaults = {"beta": 0.1, "label_smoothing": 0, "reference_free": False, "loss_type": "sigmoid", "accelerator": HERE}
        kl = {"f_divergence_type": "reverse_kl", "f_divergence_params": None}
        return types.SimpleNamespace(**(defaults | kl | options))

    def alpha_divergence(*q, divergence, alpha):  # its alpha is 1 minus ours
        kind = {"f_divergence_type": divergence + "_divergence", "f_divergence_params": {"alpha_divergence_coef": 1 - alpha}}
        return loss(trainer(**kind), *q)[0]

    options = [{"divergence": "alpha", "alpha": a} for a in (0.5, 0.0, 2.0)]
    yield "f_dpo", FOUR, options, alpha_divergence, "DPOTrainer.dpo_loss, alpha_divergence", source
    fn = lambda *q, **options: loss(trainer(loss_type="aot_pair", **options), *q)[0]  # noqa: E731
    yield "aot_unpaired", FOUR, [{"beta": 0.1}], fn, "DPOTrainer.dpo_loss, aot_pair", source


def from_authors_of_margins(folder):
    find, source = clone(folder, "angie-chen55/pref-learning-ranking-acc")
    scaled = method(find("dpo_trainer.py"), "dpo_loss")
    given = {"reference_free": False, "requires_ref_model": True, "accelerator": HERE, "label_smoothing": 0}

    def alpha_scaled(*q, **options):
        return scaled(types.SimpleNamespace(**given, **options, loss_type="alpha_scaling"), *q)[0]

    options = [{"beta": 0.1, "alpha": 0.1}, {"beta": 0.5, "alpha": 0.7}]
    yield "alpha_scaled_dpo", FOUR, options, alpha_scaled, "dpo_loss, alpha_scaling", source

    def of_the_paper(*q, **options):
        return scaled(types.SimpleNamespace(**given, **options, loss_type="ipo"), *q)[0]

    yield "ipo", FOUR, [{"beta": 0.1}, {"beta": 0.7}], of_the_paper, "dpo_loss, ipo", source

    find, source = clone(folder, "HumainLab/Understand_MarginPO")
    kinds = pieces(Path(folder) / "trl-0.11.4/trl/trainer/dpo_config.py", "FDivergenceType", Enum=Enum)
    margins = method(find("dpo.py"), "dpo_loss", **vars(kinds))
    ranked = method(find("cpo.py"), "cpo_loss")

    def labels(nw, nl):
        return {
            f"{k}_labels": torch.where(torch.arange(9) < n[:, None], 1, -100) for k, n in (("chosen", nw), ("rejected", nl))
        }

    def priced(*q, alpha, **options):
        assert alpha == 0.2  # it stands in their code
        trainer = types.SimpleNamespace(**given, **options, loss_type="rdpo", f_divergence_type="reverse_kl")
        return margins(trainer, *q[:4], labels(*q[4:]))[0]

    def hinged(*q, sft):
        trainer = types.SimpleNamespace(loss_type="rrhf", accelerator=HERE, beta=1.0)
        return ranked(trainer, *q[:2], labels(*q[2:]))[0]

    def charged(*q, lambda_, **options):
        assert lambda_ == 50.0  # likewise
        trainer = types.SimpleNamespace(**given, **options, loss_type="pdpo", f_divergence_type="reverse_kl")
        return margins(trainer, *q)[0]

    yield "dpop", FOUR, [{"beta": b, "lambda_": 50.0} for b in (0.01, 0.1)], charged, "dpo_loss, pdpo", source
    yield "r_dpo", FOUR + LENGTHS, [{"beta": b, "alpha": 0.2} for b in (0.1, 0.5)], priced, "dpo_loss, rdpo", source
    yield "rrhf", FOUR[:2] + LENGTHS, [{"sft": 0.0}], hinged, "cpo_loss, rrhf", source

    find, source = clone(folder, "GanjinZero/RRHF")
    official = method(find("train.py"), "rrhf_loss")

    def two(cw, cl, nw, nl, sft):
        scores = torch.stack([cl / nl, cw / nw], 1)
        return torch.stack([official(None, s, None, torch.tensor([[0.0, 1.0]])) for s in scores])

    yield "rrhf", FOUR[:2] + LENGTHS, [{"sft": 0.0}], two, "rrhf_loss, of two", source


def from_authors_of_terms(folder):
    find, source = clone(folder, "shenao-zhang/SELM")
    optimistic = method(find("scripts/selm_trainer.py"), "optimistic_dpo_loss")

    def selm(cw, cl, rw, rl, sampled, ref_sampled, **options):
        trainer = types.SimpleNamespace(accelerator=HERE, loss_type="sigmoid", **options)
        return optimistic(trainer, cw, cl, sampled, rw, rl, ref_sampled)[0]

    options = [{"beta": 0.1, "alpha": 0.001}, {"beta": 0.5, "alpha": 0.3}]
    yield "selm", [*FOUR, "sampled_logps", "ref_sampled_logps"], options, selm, "optimistic_dpo_loss", source

    find, source = clone(folder, "huggingface/trl")

    def xpo(cw, cl, rw, rl, sampled, **options):
        trainer = types.SimpleNamespace(**options)
        names = {"chosen_log_ratios": cw - rw, "rejected_log_ratios": cl - rl, "model_logprobs_ref_data_sum": sampled}
        names |= {"self": trainer, "inside": "_compute_losses"}
        space = statements(find("trl/experimental/xpo/xpo_trainer.py"), "logits", "xpo_losses", **names)
        return -F.logsigmoid(trainer.beta * space["logits"]) + space["xpo_losses"]

    yield "xpo", [*FOUR, "sampled_logps"], options, xpo, "XPOTrainer._compute_losses, its statements", source

    find, source = clone(folder, "Raibows/CREAM")

    def cream(cw, cl, rw, rl, consistency, beta):
        mine = types.SimpleNamespace(
            mine=types.SimpleNamespace(args=types.SimpleNamespace(dpo=types.SimpleNamespace(beta=beta)))
        )
        names = {
            "selected": cw,
            "rejected": cl,
            "ref_selected": rw,
            "ref_rejected": rl,
            "consistency": consistency,
            "self": mine,
        }
        steps = ["selected_rewards", "rejected_rewards", "dpo_logits", "reverse_dpo_logits"]
        space = statements(find("sft_dpo_trainer.py"), *steps, **names)
        first = -F.logsigmoid(space["dpo_logits"])
        return statements(find("sft_dpo_trainer.py"), "losses", **{**space, "losses": first})["losses"]

    yield "cream", [*FOUR, "consistency"], [{"beta": 0.1}, {"beta": 0.6}], cream, "training_step, its statements", source

    find, source = clone(folder, "Kwai-YuanQi/MM-RLHF")
    dynamic = method(find("trl/trainer/dpo_trainer.py"), "dpo_loss")

    def mm_dpo(cw, cl, rw, rl, margin, beta, weight, k):
        args = types.SimpleNamespace(ls_factor_weight=weight)
        known = {"reference_free": False, "accelerator": HERE, "loss_type": "sigmoid", "label_smoothing": 1.0}
        trainer = types.SimpleNamespace(args=args, beta=beta, **known)
        return dynamic(trainer, cw, cl, rw, rl, 1 - torch.exp(-k * margin), implicit_beta=False)[0]

    options = [{"beta": 0.1, "weight": 0.5, "k": 0.5}, {"beta": 0.3, "weight": 2.0, "k": 1.5}]
    yield "mm_dpo", [*FOUR, "reward_margin"], options, mm_dpo, "dpo_loss, implicit_beta=False", source
    yield from from_authors_of_other_scores(folder)


def from_authors_of_other_scores(folder):
    find, source = clone(folder, "jhejna/cpl")
    biased = pieces(find("research/algs/cpl.py"), "biased_bce_with_logits").biased_bce_with_logits

    def cpl(aw, al, lambda_):
        return each(lambda good, bad: biased(bad, good, torch.ones(1), lambda_)[0], aw, al)  # label 1 prefers the second

    advantages = ["chosen_advantages", "rejected_advantages"]
    yield "cpl", advantages, [{"lambda_": x} for x in (0.5, 1.0)], cpl, "biased_bce_with_logits", source

    find, source = clone(folder, "andrew-miao/RPO")

    def harmonic(ew, el, rw, rl, preferred):
        def call(ew, el, rw, rl, p):
            names = {"model_losses_ref": ew, "model_losses_gen": el, "ref_losses_ref": rw, "ref_losses_gen": rl, "labels": p}
            return statements(find("train.py"), "kl_diff", "similar_loss", "preference_loss", "loss", **names)["loss"]

        return each(call, ew, el, rw, rl, preferred)

    errors = ["chosen_errors", "rejected_errors", "ref_chosen_errors", "ref_rejected_errors"]
    yield "harmonic_rpo", [*errors, "preferred"], [{}], harmonic, "train.py, its statements", source

    find, source = clone(folder, "huawei-noah/HEBO")
    mapo = method(find("SparsePO/src/trainers/mapo_trainer.py"), "mapo_loss", gc=types.SimpleNamespace(collect=lambda: None))

    def sparse(tw, tl, rw, rl, ww, wl, kw, kl, beta):
        return mapo(types.SimpleNamespace(accelerator=HERE, beta=beta), tw, tl, rw, rl, -kw, -kl, ww, wl)[0]  # their KL is < 0

    weights = ["chosen_weights", "rejected_weights", "chosen_kl", "rejected_kl"]
    yield "sparse_po", TOKENS + weights, [{"beta": 0.1}, {"beta": 0.5}], sparse, "mapo_loss", source

    find, source = clone(folder, "Vance0124/Token-level-Direct-Preference-Optimization")
    tdpo = pieces(find("trainers.py"), "tdpo_loss").tdpo_loss

    def first_form(tw, tl, rw, rl, ww, wl, kw, kl, beta):
        return tdpo(*((x * m).sum(-1) for x, m in ((tw - rw, ww), (tl - rl, wl), (kw, ww), (kl, wl))), beta, if_tdpo2=False)[0]

    whole = ["chosen_mask", "rejected_mask", "chosen_kl", "rejected_kl"]
    yield "sparse_po", TOKENS + whole, [{"beta": 0.1}], first_form, "tdpo_loss, if_tdpo2=False", source
    yield from from_authors_with_logits(folder)


def from_authors_with_logits(folder):
    find, source = clone(folder, "vegetable-yx/CoIPO")
    divergence = method(find("ContrastiveLlama.py"), "kl_divergence")

    def coipo(clean, other_clean, noisy, other_noisy):
        pairs = zip(clean, other_clean, noisy, other_noisy, strict=True)
        return torch.stack([divergence(None, (a, b), (c, d)) for a, b, c, d in pairs])

    yield (
        "coipo",
        ["clean_logits", "other_clean_logits", "noisy_logits", "other_noisy_logits"],
        [{}],
        coipo,
        "kl_divergence",
        source,
    )

    find, source = clone(folder, "wzhouad/WPO")
    logps, loss = (method(find("scripts/run_wpo.py"), name) for name in ("get_batch_logps", "dpo_loss"))

    def wpo(logits, labels, rw, rl, beta, label_smoothing):
        known = {"reference_free": False, "accelerator": HERE, "beta": beta, "label_smoothing": label_smoothing}
        summed, weight = logps(logits, labels.clone())
        return loss(types.SimpleNamespace(**known), *summed.chunk(2), rw, rl, weight)[0]

    options = [{"beta": 0.1, "label_smoothing": e} for e in (0.0, 0.1)]
    yield "wpo", ["both_logits", "both_labels", *FOUR[2:]], options, wpo, "get_batch_logps and dpo_loss", source


def drawn():
    """The inputs: six pairs with answers of different lengths; errors, weights and so on where they belong."""
    draw = torch.Generator().manual_seed(20)

    def rand(*shape, low=0.0, high=1.0):
        return (low + (high - low) * torch.rand(shape, generator=draw, dtype=torch.float64)).round(decimals=4)

    made = {name: rand(6, low=-5.0, high=-0.2) for name in FOUR}
    made |= {name: torch.randint(1, 9, (6,), generator=draw) for name in LENGTHS}
    made |= {name: rand(6, 5, low=-2.0, high=-0.1) for name in TOKENS + SQUARES}
    made |= {name: torch.arange(5) < torch.randint(1, 6, (6, 1), generator=draw) for name in MASKS}
    made |= {name: rand(6, low=-4.0, high=-0.2) for name in ("sampled_logps", "ref_sampled_logps")}
    made |= {"consistency": rand(6), "preferred": rand(6), "reward_margin": rand(6, low=-3.0, high=4.0)}
    made |= {f"{a}{b}_errors": rand(6) for a in ("", "ref_") for b in ("chosen", "rejected")}
    made |= {f"{b}_advantages": rand(6, low=-3.0, high=1.0) for b in ("chosen", "rejected")}
    made |= {f"{b}_{what}": rand(6, 5) for b in ("chosen", "rejected") for what in ("weights", "kl")}
    made |= {f"{name}_logits": rand(6, 3, 4, low=-2.0, high=2.0) for name in ("clean", "other_clean", "noisy", "other_noisy")}
    labels = torch.randint(0, 4, (12, 5), generator=draw)
    labels = torch.where(torch.arange(5) < torch.randint(1, 4, (12, 1), generator=draw), -100, labels)
    return made | {"both_logits": rand(12, 5, 4, low=-2.0, high=2.0), "both_labels": labels}


def recompute(inputs, folder):
    parts = (from_trl_today, from_liger, from_trl_cpo, from_trl_before, from_authors_of_margins, from_authors_of_terms)
    for entry, names, choices, official, function, source in (row for part in parts for row in part(folder)):
        for options in choices:
            given = [
                torch.tensor(inputs[n], dtype=torch.float64 if isinstance(flat(inputs[n]), float) else None) for n in names
            ]
            leaves = {n: x.requires_grad_() for n, x in zip(names, given, strict=True) if x.is_floating_point()}
            value = official(*given, **options)
            value.sum().backward()
            row = {"entry": entry, "function": function, "source": source, "arguments": names, "options": options}
            yield {
                **row,
                "value": value.tolist(),
                "gradient": {n: x.grad.tolist() for n, x in leaves.items() if x.grad is not None},
            }


def flat(x):
    return flat(x[0]) if isinstance(x, list) else x


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources")
    parser.add_argument("--write", action="store_true", help="store the numbers instead of comparing them")
    args = parser.parse_args()
    torch.set_default_dtype(torch.float64)  # TRL makes a tensor of EXO's label_smoothing
    note = "Values and gradients (of their sum) that other people's code returns in float64; made by regenerate_pairwise.py."
    inputs = {name: x.tolist() for name, x in drawn().items()}
    found = list(recompute(inputs, args.sources))
    if args.write:
        STORE.write_text(dumps({"note": note, "inputs": inputs, "values": found}), encoding="utf-8")
    stored = json.loads(STORE.read_text(encoding="utf-8"))["values"]
    worst = max(
        (torch.tensor(a["value"]) - torch.tensor(b["value"])).abs().max().item() for a, b in zip(found, stored, strict=True)
    )
    print(f"{len(found)} values; largest difference {worst:.1e}")


if __name__ == "__main__":
    main()

"""Recompute the numbers of `policy.json` with other people's code: `python tests/oracles/regenerate_policy.py FOLDER`.

No test runs it. FOLDER holds the unpacked wheels of trl 1.16.0 and liger-kernel 0.8.5 (folders `trl` and `liger_kernel`) and a
clone of each repository below, as `owner+name`. Only torch is needed: the functions that are named are taken out of their files
and run. The numbers are compared with those that are stored, or with `--write` stored; the inputs are always the stored ones.
"""

import argparse
import ast
import collections
import json
import math
import types
import typing
from pathlib import Path

import torch
import torch.nn.functional as F
from regenerate import clone, pieces
from torch import nn

STORE = Path(__file__).with_name("policy.json")
STORED = json.loads(STORE.read_text(encoding="utf-8"))
TOKENS = {name: name for name in ("logps", "old_logps", "advantages", "mask")}
WITH_REF = {**TOKENS, "ref_logps": "ref_logps"}
DEFAULTS = {"sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05, "vespo_k_pos": 2.0, "vespo_lambda_pos": 3.0}
DEFAULTS |= {"vespo_k_neg": 3.0, "vespo_lambda_neg": 2.0, "delta": None, "use_bias_correction_kl": False}


def method(file, owner, name, **given):
    """One method of a class as a plain function; of its decorators only torch's stay."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    body = next(node for node in tree.body if getattr(node, "name", None) == owner).body
    found = next(node for node in body if getattr(node, "name", None) == name)
    found.decorator_list = [d for d in found.decorator_list if ast.unparse(d).startswith("torch.")]
    space = {**vars(typing), "torch": torch, "nn": nn, "F": F, "math": math, **given}
    exec(compile(ast.Module([found], []), str(file), "exec"), space)
    return space[name]


def of_class(file, method_name):
    """The name of the class in a file that has this method."""
    classes = [node for node in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return next(c.name for c in classes if any(getattr(node, "name", None) == method_name for node in c.body))


def row(entry, source, function, arguments, options, run, trained, **more):
    """The official value and its gradient, for the stored inputs that `arguments` names."""
    given = {}
    for name, stored in arguments.items():
        x = torch.tensor(STORED["inputs"][stored])
        given[name] = x.double() if x.is_floating_point() else x
    for name in trained:
        given[name].requires_grad_()
    value = run(given)
    made = {"entry": entry, "source": source, "function": function, "arguments": arguments, "options": options}
    made["value"] = value.item()
    if trained:
        slopes = torch.autograd.grad(value, [given[name] for name in trained])
        made["gradient"] = {name: slope.tolist() for name, slope in zip(trained, slopes, strict=True)}
    return {**made, **more}


def from_trl(folder):
    file = folder / "trl/trainer/grpo_trainer.py"
    loss = method(file, "GRPOTrainer", "_compute_loss", nanmin=torch.min, nanmax=torch.max)
    weights = method(file, "GRPOTrainer", "get_gamma_weights")

    def run(t, loss_type, level="token", beta=0.0, low=0.2, high=0.2, maxlen=5, items=None):
        stand_in = types.SimpleNamespace(
            _get_per_token_logps_and_entropies=lambda *a, **k: (t["logps"], torch.zeros_like(t["logps"]), None),
            top_entropy_quantile=1.0,
            aux_loss_enabled=False,
            off_policy_mask_threshold=None,
            importance_sampling_level=level,
            beta=beta,
            epsilon_low=low,
            epsilon_high=high,
            loss_type=loss_type,
            use_vllm=False,
            args=types.SimpleNamespace(steps_per_generation=1, **DEFAULTS),
            model=types.SimpleNamespace(training=True),
            current_gradient_accumulation_steps=1,
            max_completion_length=maxlen,
            accelerator=types.SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
            _entropy_bonus_enabled=False,
            _metrics={"train": collections.defaultdict(list)},
            get_gamma_weights=weights,
        )
        nothing = torch.zeros(len(t["mask"]), 0, dtype=torch.long)
        batch = {
            "prompt_ids": nothing,
            "prompt_mask": nothing,
            "completion_ids": torch.zeros_like(t["mask"]),
            "completion_mask": t["mask"],
            "advantages": t["advantages"],
            "old_per_token_logps": t["old_logps"],
            "ref_per_token_logps": t.get("ref_logps"),
            "num_items_in_batch": torch.tensor(float(items or t["mask"].sum())),
        }
        return loss(stand_in, None, batch)

    sequence = {"level": "sequence", "low": 0.1, "high": 0.05}
    for entry, options, arguments, asked in (
        ("grpo", {"beta": 0.0}, TOKENS, {"loss_type": "grpo"}),
        ("grpo", by(0.04, 0.1, 0.3), WITH_REF, {"loss_type": "grpo", "beta": 0.04, "low": 0.1, "high": 0.3}),
        ("dr_grpo", {"budget": 9}, TOKENS, {"loss_type": "dr_grpo", "maxlen": 9}),
        ("dr_grpo", {"budget": 5, "beta": 0.1}, WITH_REF, {"loss_type": "dr_grpo", "maxlen": 5, "beta": 0.1}),
        ("dapo", {"epsilon_high": 0.28}, TOKENS, {"loss_type": "dapo", "high": 0.28}),
        (
            "dapo",
            {"epsilon_high": 0.2, "beta": 0.2, "batch_tokens": 100},
            WITH_REF,
            {"loss_type": "dapo", "high": 0.2, "beta": 0.2, "items": 100},
        ),
        ("dapo", {"epsilon_high": 0.2}, TOKENS, {"loss_type": "bnpo"}),
        ("gspo", {"epsilon": 0.1, "epsilon_high": 0.05}, TOKENS, {"loss_type": "grpo", **sequence}),
        ("luspo", {"epsilon": 0.1, "epsilon_high": 0.05}, TOKENS, {"loss_type": "luspo", **sequence}),
        ("gspo", by(0.3, 0.1, 0.05), WITH_REF, {"loss_type": "grpo", **sequence, "beta": 0.3}),
        ("luspo", by(0.3, 0.1, 0.05), WITH_REF, {"loss_type": "luspo", **sequence, "beta": 0.3}),
        ("sapo", {"beta": 0.3}, WITH_REF, {"loss_type": "sapo", "beta": 0.3}),
        ("cispo", {"ceiling": 1.1, "beta": 0.3}, WITH_REF, {"loss_type": "cispo", "high": 1.1, "beta": 0.3}),
        ("vespo", {"beta": 0.3}, WITH_REF, {"loss_type": "vespo", "beta": 0.3}),
        ("sapo", {}, TOKENS, {"loss_type": "sapo"}),
        ("cispo", {"ceiling": 1.1}, TOKENS, {"loss_type": "cispo", "high": 1.1}),
        ("cispo", {"ceiling": 5.0, "batch_tokens": 60}, TOKENS, {"loss_type": "cispo", "high": 5.0, "items": 60}),
        ("vespo", {}, TOKENS, {"loss_type": "vespo"}),
    ):
        name = f"GRPOTrainer._compute_loss {asked}"
        yield row(entry, "trl 1.16.0", name, arguments, options, lambda t, asked=asked: run(t, **asked), ["logps"])


def by(beta, epsilon, epsilon_high):
    return {"beta": beta, "epsilon": epsilon, "epsilon_high": epsilon_high}


def from_liger(folder):
    chunked = folder / "liger_kernel/chunked_loss"
    normalizer = method(chunked / "fused_linear_ppo.py", "LigerFusedLinearPPOBase", "_compute_dapo_normalizer")
    base = types.SimpleNamespace(_compute_dapo_normalizer=normalizer)
    file = chunked / "grpo_loss.py"
    names = "k3_loss_fn", "get_gamma_weights", "sapo_loss_fn", "clip_coef_fn"
    helpers = vars(pieces(file, *names, math=math))
    loss = method(file, "LigerFusedLinearGRPOFunction", "ppo_loss_fn", LigerFusedLinearPPOBase=base, **helpers)

    def run(t, asked):
        mask = t["mask"].double()
        return loss(t["logps"], mask, t["advantages"], mask, t.get("ref_logps"), t["old_logps"], **asked)[0]

    sequence = {"beta": 0.0, "importance_sampling_level": "sequence", "epsilon_low": 0.1, "epsilon_high": 0.1}
    for entry, options, arguments, asked in (
        ("grpo", {"beta": 0.04}, WITH_REF, {"loss_type": "grpo", "beta": 0.04}),
        ("dr_grpo", {"budget": 7}, TOKENS, {"loss_type": "dr_grpo", "beta": 0.0, "max_completion_length": 7}),
        ("dapo", {"epsilon_high": 0.28, "beta": 0.04}, WITH_REF, {"loss_type": "dapo", "beta": 0.04, "epsilon_high": 0.28}),
        ("dapo", {"epsilon_high": 0.2}, TOKENS, {"loss_type": "bnpo", "beta": 0.0}),
        ("gspo", {"epsilon": 0.1, "epsilon_high": 0.1}, TOKENS, {"loss_type": "grpo", **sequence}),
        ("luspo", {"epsilon": 0.1, "epsilon_high": 0.1}, TOKENS, {"loss_type": "luspo", **sequence}),
        ("sapo", {}, TOKENS, {"loss_type": "sapo", "beta": 0.0}),
        ("cispo", {"ceiling": 1.1}, TOKENS, {"loss_type": "cispo", "beta": 0.0, "epsilon_high": 1.1}),
        ("vespo", {}, TOKENS, {"loss_type": "vespo", "beta": 0.0}),
    ):
        name = f"LigerFusedLinearGRPOFunction.ppo_loss_fn {asked}"
        yield row(entry, "liger-kernel 0.8.5", name, arguments, options, lambda t, asked=asked: run(t, asked), ["logps"])


def from_nash_md(folder):
    find, source = clone(folder, "huggingface/trl")
    losses = method(find("trl/experimental/nash_md/nash_md_trainer.py"), "NashMDTrainer", "_compute_losses")
    arguments = {name: name for name in ("logps", "ref_logps", "win_rates")}
    name = "NashMDTrainer._compute_losses beta=0.1"
    stand_in = types.SimpleNamespace(beta=0.1)
    yield row("nash_md", source, name, arguments, {"beta": 0.1}, lambda t: losses(stand_in, *t.values())[0], ["logps"])


def from_general_preference(folder):
    find, source = clone(folder, "general-preference/general-preference-model")
    plane, wide = "GeneralPreferenceLoss", "HighDimGeneralPreferenceLoss"
    classes = pieces(find("general_preference/models/loss.py"), plane, wide)
    names = ["chosen_embeddings", "rejected_embeddings"]
    for loss, call, stored, temperature in (
        (classes.HighDimGeneralPreferenceLoss(0.1, 4), f"{wide}(tau=0.1, value_head_dim=4)", names, 0.1),
        (classes.GeneralPreferenceLoss(1), f"{plane}(tau=1)", ["plane_chosen", "plane_rejected"], 1.0),
    ):
        arguments = dict(zip(names, stored, strict=True))
        options = {"temperature": temperature}
        yield row("gpm", source, call, arguments, options, lambda t, loss=loss: loss(*t.values())[0], names)


def from_naver_disco(folder):
    find, source = clone(folder, "naver/disco")
    silent = types.SimpleNamespace(dispatch=lambda *a: None)
    base = type("BaseLoss", (), {"__init__": lambda self: setattr(self, "metric_updated", silent)})
    losses = find("disco/tuners/losses")
    parent = pieces(losses / "f_divergence.py", "FDivergenceLoss", BaseLoss=base, WindowedMovingAverage=None).FDivergenceLoss
    for file, name, ours in (
        ("kl", "KLLoss", "kl"),
        ("reverse_kl", "ReverseKLLoss", "reverse_kl"),
        ("js", "JSLoss", "js"),
        ("tv", "TVLoss", "tv"),
        ("chi_square", "ChiSquaredLoss", "chi_squared"),
        ("reverse_chi_square", "ReverseChiSquaredLoss", "reverse_chi_squared"),
    ):
        loss = getattr(pieces(losses / f"{file}.py", name, FDivergenceLoss=parent), name)(use_baseline=False)
        on_policy = {"logps": "answer_logps", "target_logps": "target_logps"}
        for arguments in (on_policy, {**on_policy, "proposal_logps": "proposal_logps"}):

            def run(t, loss=loss):
                proposal = t.get("proposal_logps", t["logps"].detach())
                return loss(proposal, t["target_logps"], t["logps"], torch.tensor(1.0, dtype=torch.float64))

            yield row("f_dpg", source, f"{name}(use_baseline=False)", arguments, {"divergence": ours}, run, ["logps"])


def from_disco(folder):
    find, source = clone(folder, "Optimization-AI/DisCO")
    names = [f"compute_policy_loss_{kind}_{score}" for kind in ("discob", "disco") for score in ("Lratio", "logL")]
    means = types.SimpleNamespace(masked_mean=lambda values, mask: (values * mask).sum() / mask.sum())
    functions = pieces(find("verl/verl/trainer/ppo/core_algos.py"), *names, verl_F=means)
    arguments = {"logps": "group_logps", "old_logps": "group_old_logps", "correct_mask": "correct_mask", "mask": "group_mask"}
    for name in names:
        for kl_type, kl in (("kl", "k1"), ("low_var_kl", "k3")):
            for delta in (1e-4, 10.0):
                plain = "discob" in name  # the mean of the wrong answers: there is no tau
                asked = {"delta": delta, "beta": 1000.0, "kl_type": kl_type} | ({} if plain else {"tau": 2.0})
                options = {"score": "ratio" if "ratio" in name else "logp", "kl": kl, "delta": delta}

                def run(t, name=name, asked=asked):
                    questions, answers = t["logps"].shape[:2]
                    flat = [t[x].flatten(0, 1) for x in ("old_logps", "logps", "mask")]
                    of = torch.arange(questions).repeat_interleave(answers)
                    rewards = t["correct_mask"].flatten().double()
                    return getattr(functions, name)(flat[0], flat[1], None, flat[2].double(), of, rewards, **asked)[0]

                more = {} if plain else {"only_gradient": True}
                options = {**options, "tau": None if plain else 2.0}
                yield row("disco", source, f"{name} {asked}", arguments, options, run, ["logps"], **more)


def from_carft(folder):
    find, source = clone(folder, "WNQzhu/CARFT")

    def similarities(name):
        file = find(f"code/vae/scripts/{name}.py")
        own = of_class(file, "sim_1")
        return method(file, own, "sim_1"), method(file, own, "sim_2")

    def run(name, anchors, partners, columns, marks):
        """The lines of the training loop around sim_1 and sim_2."""
        pair, every = similarities(name)
        positive = torch.exp(pair(None, anchors, partners) / 0.2)
        negative = torch.exp(every(None, anchors, columns) / 0.2).sum(1)
        marks = marks.double() > 0.5
        return (-torch.log(positive / negative) * marks).sum() / (marks.sum() + 1e-8)

    def right(t, columns=False):
        marks = t["correct_mask"].unsqueeze(-1) if columns else t["correct_mask"]
        return run("my_cl_trainer_v4", t["annotated"], t["sampled"], t["sampled"], marks)

    def wrong(t):
        columns = torch.cat([t["common"], t["sampled_rest"]])
        return run("my_cl_trainer", t["common"], t["annotated_rest"], columns, t["wrong_mask"])

    arguments = {"annotated": "annotated", "sampled": "sampled", "correct_mask": "correct"}
    name, trained = "my_cl_trainer_v4 (sim_1, sim_2), mask of shape ", ["annotated", "sampled"]
    yield row("carft", source, f"{name}(n,)", arguments, {}, right, trained)
    yield row("carft_as_published", source, f"{name}(n, 1) as in the file", arguments, {}, lambda t: right(t, True), [])
    rest = {"common": "sampled", "annotated_rest": "annotated", "sampled_rest": "sampled_rest", "wrong_mask": "correct"}
    name = "my_cl_trainer (sim_1, sim_2), mask of shape (n,)"
    yield row("carft_wrong", source, name, rest, {}, wrong, ["common", "annotated_rest", "sampled_rest"])


NAMED = ("entry", "source", "function", "arguments", "options")
SOURCES = (from_trl, from_liger, from_nash_md, from_general_preference, from_naver_disco, from_disco, from_carft)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    torch.set_default_dtype(torch.float64)  # a number beside a tensor, as in torch.where, would be single
    rows = [made for source in SOURCES for made in source(asked.folder)]
    if asked.write:
        inputs = ",\n".join(f'  "{name}": {json.dumps(x)}' for name, x in STORED["inputs"].items())
        values = ",\n".join(f"  {json.dumps(made)}" for made in rows)
        provenance = json.dumps(STORED["provenance"])
        text = f'{{\n "provenance": {provenance},\n "inputs": {{\n{inputs}\n }},\n "values": [\n{values}\n ]\n}}\n'
        STORE.write_text(text, encoding="utf-8")
    for made, stored in zip(rows, rows if asked.write else STORED["values"], strict=True):
        assert [made[k] for k in NAMED] == [stored[k] for k in NAMED], (made, stored)
        assert math.isclose(made["value"], stored["value"], rel_tol=1e-12, abs_tol=1e-14), made
        for name, slope in made.get("gradient", {}).items():
            torch.testing.assert_close(torch.tensor(slope), torch.tensor(stored["gradient"][name]), rtol=1e-12, atol=1e-14)
    print(f"{len(rows)} rows, {'stored' if asked.write else 'as stored'}")


if __name__ == "__main__":
    main()

"""Recompute the numbers of `rewards.json` with other people's code: `python tests/oracles/regenerate_rewards.py CLONES`.

`--write` stores them. As in `regenerate.py`, whose helpers it uses, only what is named is taken out of a file and run. CLONES
also holds the wheels trl 0.11.4, trl 1.16.0 and liger-kernel 0.8.5, unpacked in folders named NAME-VERSION.
"""

import argparse
import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace as Names

import torch
import torch.nn.functional as F
from regenerate import clone, dumps, key, pieces
from torch import Tensor, nn

STORE = Path(__file__).with_name("rewards.json")


def method(file, name, **given):
    """A method of some class of a file, as a function."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    found = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    found.decorator_list, found.returns = [], None
    for a in [*found.args.args, *found.args.kwonlyargs]:
        a.annotation = None
    space = {"torch": torch, "nn": nn, "F": F, "th": torch, **given}
    exec(compile(ast.Module([found], []), str(file), "exec"), space)
    return space[name]


def lines(file, starts, space):
    """Run those statements of a file, wherever they stand, that start with one of these words; what they leave behind."""
    source = Path(file).read_text(encoding="utf-8")
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.stmt)]
    chosen = [n for n in nodes if (ast.get_source_segment(source, n) or "").startswith(tuple(starts))]
    space = {"torch": torch, "nn": nn, "F": F, "th": torch, **space}
    exec(compile(ast.Module(sorted(chosen, key=lambda n: n.lineno), []), str(file), "exec"), space)
    return Names(**space)


def from_reward_models(folder):
    trl = Path(folder, "trl-1.16.0/trl/trainer/reward_trainer.py")

    def trained(a, b, margin=None, center=None):
        space = {"rewards_chosen": a, "rewards_rejected": b, "inputs": {} if margin is None else {"margin": margin}}
        space["self"] = Names(args=Names(center_rewards_coefficient=center))
        return lines(trl, ['if "margin" in inputs', "if self.args.center_rewards_coefficient"], space).loss

    two = {"chosen_rewards": "r0", "rejected_rewards": "r1"}
    yield "bradley_terry", two, [{}, {"center": 0.01}], trained, "RewardTrainer.compute_loss", "trl 1.16.0"
    yield "bradley_terry", {**two, "margin": "r2"}, [{}], trained, "RewardTrainer.compute_loss, margin", "trl 1.16.0"

    find, source = clone(folder, "hyunseoklee-ai/ReMoDetect")

    def chain(a, b, c, near, shrink):
        rm_loss = pieces(find("scripts/train.py"), "rm_loss", lambdas=[near, 1.0, near], logsigmoid=F.logsigmoid).rm_loss
        return rm_loss([a, b, c], shrink)

    three = {"best_rewards": "r0", "middle_rewards": "r1", "worst_rewards": "r2"}
    yield "reward_chain", three, [{"near": 0.3, "shrink": 0.01}, {"near": 0.35, "shrink": 0.2}], chain, "rm_loss", source

    find, source = clone(folder, "keven980716/weak-to-strong-deception")
    Tensor.float = lambda self: self  # so that it is computed in float64
    logconf = pieces(find("weak-to-strong/weak_to_strong/loss.py"), "LossFnBase", "logconf_loss_fn").logconf_loss_fn

    def confident(z, w, confidence, progress):
        both, weak = torch.stack([z, 0 * z], 1), torch.sigmoid(torch.stack([w, -w], 1))
        return logconf(confidence)(both, weak, progress)

    choices = [{"confidence": c, "progress": p} for c, p in ((0.5, 1.0), (1.0, 0.5), (0.5, 0.05))]
    yield "weak_to_strong", {"logits": "r0", "weak_logits": "r1"}, choices, confident, "logconf_loss_fn", source


def from_features(folder):
    find, source = clone(folder, "RamyaLab/pluralistic-alignment")
    loss = pieces(find("src/loss_function.py"), "nll_logistic_loss", "logistic", "cross_entropy_loss")
    learner = method(find("src/pal_rm_a/userLearner.py"), "forward")  # of the first class: f(Pw), with f the identity

    def ideal(chosen, rejected, users, prototypes):
        user = Names(get_sfx_w=lambda u: u.softmax(-1), projector=lambda x: x, P=prototypes)
        return lambda _: (chosen[:, None], rejected[:, None], learner(user, users))

    def pal(chosen, rejected, users, prototypes, form, temperature):
        wanted = "PrefLearner_dist" if form == "distance" else "PrefLearner_angle"
        model = pieces(find("src/pal_rm_a/learner.py"), wanted, BasePrefLearner=nn.Module, np=None)
        self = Names(
            map_to_pref_embedding_space=ideal(chosen, rejected, users, prototypes),
            logit_scale=torch.tensor(1 / temperature).log(),
        )
        out = getattr(model, wanted).forward(self, None)
        if form == "distance":
            return loss.nll_logistic_loss(out.squeeze(1), -torch.ones(len(chosen)))
        return loss.cross_entropy_loss(out.squeeze(1), torch.zeros(len(chosen), dtype=torch.long))

    given = {"chosen_features": "f0", "rejected_features": "f1", "user_logits": "users", "prototypes": "prototypes"}
    forms = [
        {"form": "distance", "temperature": 1.0},
        {"form": "angle", "temperature": 0.07},
        {"form": "angle", "temperature": 0.5},
    ]
    yield "pal", given, forms, pal, "PrefLearner_dist / _angle and loss_function.py", source

    find, source = clone(folder, "vaskarnathscale/goal-conditioned-rm")

    def goal(a, b, states, goals, other, weight):
        """One answer at a time, as in its script; its random draws are made to pick exactly the given states."""
        total = []
        for i in range(len(a)):
            s = states.shape[1]
            prompt = torch.zeros_like(states[i, :1])
            own, foreign = (torch.cat([prompt, states[i], last[i]])[None] for last in (goals, other))
            place = torch.arange(s).double()
            first, second = (place + s + 0.5) / (2 * s), (place + 0.5) / (2 * s)  # counted from the end, after (p - 1) r + 1
            drawn = iter([torch.stack([1 - first, 1 - second])[None], (1 - first)[None], (1 - second)[None]])
            scripted = Names(**{**vars(torch), "rand": lambda *_, drawn=drawn, **__: next(drawn)})
            official = pieces(find("openrlhf/models/loss.py"), "ContrastiveGoalLoss", "PairWiseLoss", torch=scripted)
            many, loss = torch.tensor([2 * s]), official.ContrastiveGoalLoss(s, s, weight, "cosine", 0, 0)
            total.append(official.PairWiseLoss()(a[i], b[i]) + loss(own, foreign, many, many))
        return torch.stack(total)

    given = {"chosen_rewards": "r0", "rejected_rewards": "r1", "states": "states", "goals": "goals", "rejected_goals": "others"}
    yield "goal_conditioned", given, [{"weight": 0.5}, {"weight": 2.0}], goal, "ContrastiveGoalLoss + PairWiseLoss", source


def from_constraints(folder):
    find, source = clone(folder, "tedmoskovitz/ConstrainedRL4LMs")
    file = find("rl4lms/algorithms/constrained_ppo/constrained_ppo.py")

    def mixed(kl, advantages, multipliers):
        self = Names(n_constraints=len(multipliers), squash_lagrange=True, squash_fn=torch.sigmoid, lagrange=multipliers)
        space = {"self": self, "kl_advantages": kl, "constraint_advantages": advantages}
        return lines(
            file,
            ["lagrange = self.squash_fn(self.lagrange)\n", "mixed_advantages = (self.n_constraints"],
            {**space, "lagrange": torch.sigmoid(multipliers)},
        ).mixed_advantages

    def moved(multipliers, rewards, thresholds):
        data = Names(ep_constraint_reward_togo=rewards)
        space = {"self": Names(constraint_thresholds=thresholds), "rollout_data": data, "lagrange": torch.sigmoid(multipliers)}
        return lines(file, ["constraint_violations =", "lagrange_loss = th.sum"], space).lagrange_loss

    given = {"kl_advantages": "r0", "advantages": "f0", "multipliers": "weights"}
    yield "mixed_advantage", given, [{}], mixed, "train", source
    yield "multiplier_loss", {"multipliers": "weights", "rewards": "f0", "thresholds": "point"}, [{}], moved, "train", source


def from_lists(folder):
    find, source = clone(folder, "thu-ml/Noise-Contrastive-Alignment")
    nca_loss = method(find("reward_trainer.py"), "nca_loss")

    def info(scores, labels, temperature):
        self = Names(beta=1.0, temperature_alpha=temperature, loss_type="InfoNCA")
        batch = {f"A{i}_score": labels[:, i] - (0.01 if i == 0 else 0) for i in range(4)}  # it adds 0.01 to the first
        return nca_loss(self, batch, *scores.T, *(0 * scores.T))[0]

    yield "info_nca", {"scores": "f0", "labels": "f1"}, [{"temperature": 1.0}, {"temperature": 0.3}], info, "nca_loss", source

    find, source = clone(folder, "chenyuxin1999/S-DPO")
    dpo_loss = method(find("trainer/softmax_dpo_trainer.py"), "dpo_loss")

    def softmax(chosen, rejected):
        many = dict(enumerate(rejected.T))
        return dpo_loss(Names(beta=1.0), chosen, many, 0 * chosen, {k: 0 * v for k, v in many.items()})[0]

    yield "softmax_dpo", {"chosen_scores": "r0", "rejected_scores": "f1"}, [{}], softmax, "dpo_loss", source


def from_single_answers(folder):
    four = {n: n for n in ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")}
    file = Path(folder, "trl-1.16.0/trl/trainer/kto_trainer.py")

    def kto(a, b, c, d, kl, desirable_weight=1.0, undesirable_weight=1.0, beta=0.1):
        self = Names(beta=beta, loss_type="kto", desirable_weight=desirable_weight, undesirable_weight=undesirable_weight)
        space = {"self": self, "kl": kl, "chosen_logps": a, "rejected_logps": b, "ref_chosen_logps": c, "ref_rejected_logps": d}
        starts = ["if chosen_logps.shape[0] != 0", "if rejected_logps.shape[0] != 0", "losses = torch.cat("]
        return lines(file, starts, space).losses

    choices = [{"kl": 0.0}, {"kl": 0.4, "desirable_weight": 1.3, "undesirable_weight": 0.7, "beta": 0.5}]
    yield "kto", four, choices, kto, "KTOTrainer._compute_loss", "trl 1.16.0"

    liger = method(Path(folder, "liger_kernel-0.8.5/liger_kernel/chunked_loss/kto_loss.py"), "preference_loss_fn")

    def fused(a, b, c, d, kl, beta=0.1):
        good = torch.arange(2 * len(a)) < len(a)
        return liger(torch.cat([a, b]), good, torch.zeros(2 * len(a)), torch.cat([c, d]), beta=beta, kl=kl)[0]

    yield "kto", four, [{"kl": 0.0}, {"kl": 0.4, "beta": 0.5}], fused, "LigerFusedLinearKTOFunction", "liger-kernel 0.8.5"

    bco_loss = method(Path(folder, "trl-0.11.4/trl/trainer/bco_trainer.py"), "bco_loss")

    def bco(a, b, c, d, weights=None, shift=0.0, beta=0.1):
        running = Names(update=lambda _: None, mean=shift)
        self = Names(beta=beta, running=running, match_underlying_distribution=weights is not None)
        self._get_udm_weight = lambda embeddings: embeddings
        return sum(bco_loss(self, a, b, c, d, None, weights)[0].chunk(2))  # theirs is one value per answer

    yield "bco", four, [{"shift": 0.0}, {"shift": 0.3, "beta": 0.5}], bco, "BCOTrainer.bco_loss", "trl 0.11.4"
    weighted = {**four, "rejected_weights": "ratios"}
    yield "bco", weighted, [{"shift": -0.2}], bco, "BCOTrainer.bco_loss, underlying distribution", "trl 0.11.4"


def from_text(folder):
    find, source = clone(folder, "naver-ai/rethinking-proxy-reward")
    official = pieces(
        find("reward_model.py"), "ReversedEngineeredRewardForInference", re=re
    ).ReversedEngineeredRewardForInference

    def relevance(r, lengths, diversity, factual, longest):
        self = object.__new__(official)
        self.max_sequence_length, self.reward_branching, self.relevance_scaling, self.repetition_penalty = (
            longest,
            True,
            True,
            True,
        )
        self.extract_raw_query, self.relevance_model = lambda batch: batch, Names(get_reward=lambda _: r)
        kinds = ["CONSTRAINED" if x else "OPENENDED" for x in factual]
        return torch.stack(self._combine_scores({"qtype": kinds}, lengths / 100, diversity))

    given = {"relevance": "positive", "lengths": "lengths", "diversity": "shares", "factual_mask": "factual"}
    yield "relevance_reward", given, [{"longest": 512}, {"longest": 100}], relevance, "_combine_scores", source

    find, source = clone(folder, "huggingface/trl")

    def picked(logits, index):
        return logits.log_softmax(-1).gather(-1, index[..., None]).squeeze(-1)

    shifted = pieces(find("trl/trainer/sft_trainer.py"), "dft_loss", selective_log_softmax=picked).dft_loss

    def dft(logits, labels, mask):
        return shifted(Names(logits=logits), labels.masked_fill(~mask.bool(), -100))

    yield "dft", {"logits": "logits", "labels": "labels", "mask": "mask"}, [{}], dft, "dft_loss", source

    def token_mean(logits, labels, mask):
        logps = torch.where(mask[:, 1:].bool(), picked(logits[:, :-1], labels[:, 1:]), 0.0)
        space = {"outputs": Names(log_probs=logps, label_mask=mask[:, 1:].bool()), "num_items_in_batch": None}
        space["self"] = Names(args=Names(loss_type="dft"))
        starts = [
            "per_token_loss = -outputs.log_probs",
            'if self.args.loss_type == "dft":\n',
            "num_tokens = outputs.label_mask",
            "loss = per_token_loss.sum()",
        ]
        return lines(Path(folder, "trl-1.16.0/trl/trainer/sft_trainer.py"), starts, space).loss

    yield (
        "dft",
        {"logits": "logits", "labels": "labels", "mask": "mask"},
        [{}],
        token_mean,
        "SFTTrainer._compute_loss",
        "trl 1.16.0",
    )

    find, source = clone(folder, "dvlab-research/Logits-Based-Finetuning")
    file = find("llamafactory/train/sft/trainer.py")
    teacher, compute = method(file, "generate_teacher_logits"), method(file, "compute_loss")

    def softened(logits, labels, mask, ids, logps, alpha, progress):
        """One answer; its first response token counts for the labels' part only, so `alpha` is 0 and the mask lacks it."""
        args = Names(
            use_distill=True,
            distill_alpha=alpha,
            distill_gamma=1.0,
            freq_tokens_path=None,
            use_progressive_distill=progress < 1,
        )
        self = Names(finetuning_args=args, voc_length=logits.shape[-1], state=Names(epoch=progress, num_train_epochs=1))
        self.generate_teacher_logits = lambda x: teacher(self, x)
        whole = mask.bool().clone()
        whole[:, int(mask[0].nonzero()[0]) - 1] = True
        rows = torch.stack([ids.double(), logps.detach()], -1)
        batch = {"labels": labels.masked_fill(~whole, -100), "input_ids": labels, "logprobs": rows}
        return compute(self, lambda **_: Names(loss=torch.zeros(()), logits=logits), batch)

    given = {"logits": "logits1", "labels": "labels1", "mask": "mask1", "top_ids": "ids1", "top_logps": "top1"}
    choices = [{"alpha": 0.0, "progress": 1.0}, {"alpha": 0.0, "progress": 0.25}]
    yield "logits_finetuning", given, choices, softened, "compute_loss", source


PARTS = (from_reward_models, from_features, from_constraints, from_lists, from_single_answers, from_text)


def made(inputs, arguments):
    return {k: torch.tensor(inputs[name]) for k, name in arguments.items()}


def recompute(inputs, folder):
    for part in PARTS:
        for entry, arguments, choices, official, function, source in part(folder):
            for options in choices:
                given = made(inputs, arguments)
                leaves = {n: x.requires_grad_() for n, x in given.items() if x.is_floating_point()}
                value = official(*given.values(), **options)
                row = {"entry": entry, "arguments": arguments, "options": options, "function": function, "source": source}
                row["value"] = value.tolist()
                if value.requires_grad and options is choices[0] and entry != "mixed_advantage":
                    value.mean().backward()
                    row["gradient"] = {n: x.grad.tolist() for n, x in leaves.items() if x.grad is not None}
                yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones")
    parser.add_argument("--write", action="store_true", help="store the numbers instead of comparing them")
    args = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    stored = json.loads(STORE.read_text(encoding="utf-8"))
    found = list(recompute(stored["inputs"], args.clones))
    if args.write:
        STORE.write_text(dumps({**stored, "values": found}), encoding="utf-8")
    known = {key(row) + row["function"]: torch.tensor(row["value"]) for row in stored["values"]}
    each = [
        (torch.tensor(row["value"]) - known.get(key(row) + row["function"], torch.tensor(row["value"]))).abs().max()
        for row in found
    ]
    print(f"{len(found)} values, {len(found) - len(known)} of them new; largest difference {max(each):.1e}")


if __name__ == "__main__":
    main()

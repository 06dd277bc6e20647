"""Recompute `data/same_name.json` with other people's code: `python tests/oracles/regenerate_names.py SOURCES [--write]`.

No test runs it. SOURCES is a folder with the unpacked wheels info_nce_pytorch 0.1.4, lightly 1.6.0, open_clip_torch 3.3.0,
pytorch_metric_learning 2.9.0, sentence_transformers 6.2.0, trl 0.11.4 and 1.16.0 as `NAME-VERSION`, and a clone of each
repository below as `owner+name`. As in `regenerate.py`, only the functions that are named are taken out of a file and run; of
pytorch_metric_learning the package is imported. One input for all; without `--write` the numbers are compared with the stored.
"""

import argparse
import dataclasses
import functools
import json
import sys
import types
from pathlib import Path

import torch
from regenerate import ALONE, Bar, Idle, clone, pieces, rows
from regenerate_pairwise import HERE, from_trl_today, method, statements
from torch import Tensor, nn

STORE = Path(__file__).parents[2] / "data/same_name.json"
NOTE = (
    "What functions of the same name in other people's libraries return for one input, in float64; made by "
    "tests/oracles/regenerate_names.py, nothing here was computed by labkit. Numbers only."
)


def drawn():
    """Two views of eight embeddings, two ways to label them, six pairs of answers of different lengths."""
    draw = torch.Generator().manual_seed(12)

    def rand(*shape, low, high):
        return (low + (high - low) * torch.rand(shape, generator=draw, dtype=torch.float64)).round(decimals=3)

    z1 = rand(8, 4, low=-1.0, high=1.0)
    made = {"z1": z1, "z2": (z1 + rand(8, 4, low=-0.6, high=0.6)).round(decimals=3)}
    made |= {"labels": torch.tensor([0, 0, 0, 1, 1, 2, 2, 2]), "lonely": torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])}
    lengths = {side: torch.randint(2, 9, (6,), generator=draw) for side in ("chosen", "rejected")}
    for side in ("chosen", "rejected"):
        made[f"{side}_logps"] = (lengths[side] * rand(6, low=-3.0, high=-0.2)).round(decimals=3)
        made[f"ref_{side}_logps"] = (lengths[side] * rand(6, low=-2.0, high=-0.4)).round(decimals=3)
    return made | {f"{side}_lengths": n.double() for side, n in lengths.items()}


def row(name, library, source, function, value, **arguments):
    number = value.mean().item() if isinstance(value, Tensor) else float(value)
    return {"name": name, "library": library, "source": source, "function": function, "arguments": arguments, "value": number}


def from_lightly(x, folder):
    home, source = folder / "lightly-1.6.0/lightly", "lightly 1.6.0"
    bank = pieces(home / "models/modules/memory_bank.py", "MemoryBankModule", Module=nn.Module).MemoryBankModule
    ntx = pieces(home / "loss/ntx_ent_loss.py", "NTXentLoss", MemoryBankModule=bank, torch_dist=ALONE).NTXentLoss
    names = "DCLLoss", "DCLWLoss", "negative_mises_fisher_weights"
    dcl = pieces(home / "loss/dcl_loss.py", *names, torch_dist=ALONE, partial=functools.partial)
    sphere = pieces(home / "loss/hypersphere_loss.py", "HypersphereLoss", Module=nn.Module).HypersphereLoss
    two = x["z1"], x["z2"]
    yield row("NT-Xent", "lightly", source, "NTXentLoss", ntx(0.1)(*two), temperature=0.1)
    yield row("NT-Xent", "lightly, as it comes", source, "NTXentLoss", ntx()(*two))
    yield row("DCL", "lightly", source, "DCLLoss", dcl.DCLLoss(0.1)(*two), temperature=0.1)
    yield row("DCLW", "lightly", source, "DCLWLoss", dcl.DCLWLoss(0.1)(*two), temperature=0.1, sigma=0.5)
    yield row("DCLW, its gradient", "lightly", source, "DCLWLoss, length of the gradient", length(dcl.DCLWLoss(0.1), *two))
    yield row("align + uniform", "lightly, as it comes", source, "HypersphereLoss", sphere()(*two))


def length(loss, z1, z2):
    """Of the gradient in the first view."""
    leaf = z1.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, z2), leaf)[0].norm()


def from_metric_learning(x, folder):
    sys.path.insert(0, str(folder / "pytorch_metric_learning-2.9.0"))
    from pytorch_metric_learning import losses

    source, library = "pytorch-metric-learning 2.9.0", "pytorch-metric-learning"
    z, labels = torch.cat([x["z1"], x["z2"]]), x["labels"].repeat(2)
    both = lambda loss: losses.SelfSupervisedLoss(loss)(x["z1"], x["z2"])  # noqa: E731
    wrapped = "SelfSupervisedLoss(NTXentLoss)"
    yield row("NT-Xent", f"{library}, as it comes", source, wrapped, both(losses.NTXentLoss()))
    yield row("InfoNCE", library, source, wrapped, both(losses.NTXentLoss(0.1)), temperature=0.1)
    yield row("SupCon", library, source, "SupConLoss", losses.SupConLoss(0.1)(z, labels), temperature=0.1)
    yield row("SupCon", f"{library}, NTXentLoss", source, "NTXentLoss", losses.NTXentLoss(0.1)(z, labels), temperature=0.1)
    alone = losses.SupConLoss(0.1)(x["z1"], x["lonely"])
    yield row("SupCon, a class of one", library, source, "SupConLoss", alone, temperature=0.1)


def from_authors_of_softmaxes(x, folder):
    find, source = clone(folder, "HobbitLong/SupContrast")
    supcon = pieces(find("losses.py"), "SupConLoss").SupConLoss(0.1)
    views, options = torch.stack([rows(x["z1"]), rows(x["z2"])], 1), {"temperature": 0.1, "base_temperature": 0.07}
    yield row("NT-Xent", "SupContrast", source, "SupConLoss, no labels", supcon(views), **options)
    yield row("SupCon", "SupContrast", source, "SupConLoss", supcon(views, x["labels"]), **options)
    alone = supcon(views[:, :1], x["lonely"])
    yield row("SupCon, a class of one", "SupContrast", source, "SupConLoss", alone, **options)

    home, source = folder / "info_nce_pytorch-0.1.4", "info-nce-pytorch 0.1.4"
    nce = pieces(home / "info_nce/__init__.py", "info_nce", "normalize", "transpose").info_nce
    yield row("InfoNCE", "info-nce-pytorch", source, "info_nce", nce(x["z1"], x["z2"], temperature=0.1), temperature=0.1)

    find, source = clone(folder, "facebookresearch/moco-v3")
    Tensor.cuda = lambda self, **_: self
    moco = method(find("moco/builder.py"), "contrastive_loss", concat_all_gather=lambda k: k)
    with OneProcess():
        value = moco(types.SimpleNamespace(T=0.1), x["z1"], x["z2"])
    yield row("InfoNCE", "MoCo v3", source, "MoCo.contrastive_loss", value, T=0.1)

    find, source = clone(folder, "SsnL/align_uniform")
    energy = pieces(find("align_uniform/__init__.py"), "align_loss", "uniform_loss")
    a, b = rows(x["z1"]), rows(x["z2"])
    value = energy.align_loss(a, b) + (energy.uniform_loss(a) + energy.uniform_loss(b)) / 2
    yield row("align + uniform", "align_uniform", source, "align_loss + uniform_loss", value, alpha=2, t=2)


class OneProcess:
    """MoCo asks for its rank."""

    def __enter__(self):
        self.was, torch.distributed.get_rank = torch.distributed.get_rank, lambda: 0

    def __exit__(self, *_):
        torch.distributed.get_rank = self.was


def from_authors_of_dcl(x, folder):
    find, source = clone(folder, "raminnakhli/Decoupled-Contrastive-Learning")
    official = pieces(find("loss/dcl.py"), "DCL", "DCLW", SMALL_NUM=torch.tensor(1e-45).log().item())
    two = rows(x["z1"]), rows(x["z2"])
    function, options = "{}, on unit rows", {"temperature": 0.1}
    yield row("DCL", "raminnakhli", source, function.format("DCL"), official.DCL(0.1)(*two), **options)
    weighted = official.DCLW(temperature=0.1)
    yield row("DCLW", "raminnakhli", source, function.format("DCLW"), weighted(*two), **options)

    def both_ways(a, b):
        a, b = rows(a), rows(b)
        return (weighted(a, b) + weighted(b, a)) / 2

    gradient = length(both_ways, x["z1"], x["z2"])
    yield row("DCLW, its gradient", "raminnakhli", source, "DCLW both ways, length of the gradient", gradient, **options)

    find, source = clone(folder, "chingyaoc/DCL")
    step = types.SimpleNamespace(zero_grad=lambda: None, step=lambda: None)
    loop = pieces(find("main.py"), "train", "get_negative_mask", tqdm=Bar, batch_size=8, epoch=0, epochs=0).train
    leaf = x["z1"].clone().requires_grad_()
    value = loop(Idle(), [(leaf, x["z2"], None)], step, 0.1, True, 0.1)
    yield row("DCL", "chingyaoc/DCL", source, "one step of train", value, temperature=0.1, tau_plus=0.1)


def from_text_and_images(x, folder):
    home, source = folder / "sentence_transformers-6.2.0/sentence_transformers", "sentence-transformers 6.2.0"
    ranking = method(
        home / "sentence_transformer/losses/multiple_negatives_ranking.py", "compute_loss_from_embeddings", Tensor=Tensor
    )
    cosine = lambda a, b: rows(a) @ rows(b).T  # noqa: E731 (util.cos_sim, which is this)
    known = {"gather_across_devices": False, "similarity_fct": cosine, "hardness_mode": None, "hardness_strength": 0.0}

    def value(directions, mode):
        loss = types.SimpleNamespace(**known, scale=20.0, directions=directions, partition_mode=mode)
        return ranking(loss, [x["z1"], x["z2"]], None)

    one, two = ("query_to_doc",), ("query_to_doc", "doc_to_query")
    name, library = "MultipleNegativesRankingLoss", "sentence-transformers"
    yield row("InfoNCE", f"{library}, as it comes", source, name, value(one, "joint"), scale=20.0)
    options = {"scale": 20.0, "directions": list(two)}
    yield row("CLIP", f"{library}, both directions", source, name, value(two, "per_direction"), **options)
    yield row("CLIP", f"{library}, joint", source, name, value(two, "joint"), **options, partition_mode="joint")

    home, source = folder / "open_clip_torch-3.3.0", "open_clip_torch 3.3.0"
    clip = pieces(home / "open_clip/loss.py", "ClipLoss").ClipLoss()
    inside = clip(rows(x["z1"]), rows(x["z2"]), 1 / 0.07)
    yield row("CLIP", "open_clip, unit rows", source, "ClipLoss", inside, logit_scale="1 / 0.07")
    yield row("CLIP", "open_clip, rows as given", source, "ClipLoss", clip(x["z1"], x["z2"], 1 / 0.07), logit_scale="1 / 0.07")


def four(x):
    return [x[f"{ref}{side}_logps"] for ref in ("", "ref_") for side in ("chosen", "rejected")]


def lengths(x):
    return [x[f"{side}_lengths"] for side in ("chosen", "rejected")]


def from_dpo(x, folder):
    find, source = clone(folder, "eric-mitchell/direct-preference-optimization")
    official = pieces(find("trainers.py"), "preference_loss").preference_loss
    smoothed = official(*four(x), 0.1, label_smoothing=0.1)[0]
    yield row("cDPO", "direct-preference-optimization", source, "preference_loss", smoothed, beta=0.1, label_smoothing=0.1)
    squared = official(*four(x), 0.1, ipo=True)[0]
    yield row("IPO", "direct-preference-optimization", source, "preference_loss, ipo", squared, beta=0.1)


def from_trl(x, folder):
    today = {function: fn for _, _, _, fn, function, _ in from_trl_today(folder)}
    named = lambda kind: today[f"DPOTrainer, {kind}"]  # noqa: E731
    source, library = "trl 1.16.0", "TRL 1.16"
    # `today` has no row of "sigmoid" with smoothing: the same call, told to smooth
    ignored = named("sigmoid")(*four(x), beta=0.1, label_smoothing=0.1)
    yield row("cDPO", library, source, "DPOTrainer, sigmoid", ignored, beta=0.1, label_smoothing=0.1)
    yield row("IPO", library, source, "DPOTrainer, ipo", named("ipo")(*four(x), *lengths(x), beta=0.1), beta=0.1)
    for kind in ("aot", "aot_unpaired"):
        yield row("AOT", f"{library}, {kind}", source, f"DPOTrainer, {kind}", named(kind)(*four(x), beta=0.1), beta=0.1)
    yield row("BCO", library, source, "DPOTrainer, bco_pair", named("bco_pair")(*four(x), beta=0.1), beta=0.1)

    file = Path(folder) / "trl-1.16.0/trl/experimental/cpo/cpo_trainer.py"
    mean = [q / n for q, n in zip(four(x)[:2], lengths(x), strict=True)]
    known = {"label_smoothing": 0.0, "accelerator": HERE, "alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.0}
    bare = method(file, "cpo_loss")(types.SimpleNamespace(**known, loss_type="simpo"), *mean)[0]
    options = {"beta": 2.0, "simpo_gamma": 1.0}
    yield row("SimPO", f"{library}, cpo_alpha=0", source, "CPOTrainer, simpo", bare, **options, cpo_alpha=0.0)
    trainer = types.SimpleNamespace(cpo_alpha=1.0)
    given = {"self": trainer, "losses": bare, "policy_nll_loss": token_nll(x), "inside": "get_batch_loss_metrics"}
    whole = statements(file, "loss", **given)["loss"]
    yield row("SimPO", f"{library}, as it comes", source, "CPOTrainer, simpo", whole, **options, cpo_alpha=1.0)
    plain = method(file, "cpo_loss")(types.SimpleNamespace(**{**known, "beta": 0.1}, loss_type="sigmoid"), *four(x)[:2])[0]
    whole = statements(file, "loss", **{**given, "losses": plain})["loss"]
    yield row("CPO", library, source, "CPOTrainer, sigmoid", whole, beta=0.1, cpo_alpha=1.0)


def token_nll(x):
    """What TRL's trainers hand on as policy_nll_loss: the mean over all tokens of the batch's chosen answers."""
    return -x["chosen_logps"].sum() / x["chosen_lengths"].sum()


def from_trl_before(x, folder):
    home, source, library = Path(folder) / "trl-0.11.4/trl/trainer", "trl 0.11.4", "TRL 0.11"
    loss = method(home / "dpo_trainer.py", "dpo_loss", FDivergenceType=Fixed)
    moments = pieces(home / "utils.py", "RunningMoments", dataclass=dataclasses.dataclass, Accelerator=object).RunningMoments
    here = types.SimpleNamespace(device="cpu", use_distributed=False)
    known = {"beta": 0.1, "reference_free": False, "accelerator": here, "f_divergence_type": "reverse_kl", "args": None}

    def value(kind, label_smoothing=0.0):
        trainer = types.SimpleNamespace(**known, loss_type=kind, label_smoothing=label_smoothing, running=moments(here))
        return loss(trainer, *four(x))[0]

    yield row("cDPO", library, source, "DPOTrainer, sigmoid", value("sigmoid", 0.1), beta=0.1, label_smoothing=0.1)
    for kind in ("aot", "aot_pair"):
        yield row("AOT", f"{library}, {kind}", source, f"DPOTrainer, {kind}", value(kind), beta=0.1)
    yield row("BCO", library, source, "DPOTrainer, bco_pair, first batch", value("bco_pair"), beta=0.1)

    args = types.SimpleNamespace(args=types.SimpleNamespace(rpo_alpha=0.5))
    given = {"self": args, "losses": value("sigmoid"), "policy_nll_loss": token_nll(x), "inside": "get_batch_loss_metrics"}
    imitated = statements(home / "dpo_trainer.py", "losses", **given)["losses"]
    yield row("RPO", library, source, "DPOTrainer, rpo_alpha", imitated, beta=0.1, rpo_alpha=0.5)

    odds = method(home / "orpo_trainer.py", "odds_ratio_loss")
    mean = [q / n for q, n in zip(four(x)[:2], lengths(x), strict=True)]
    ratio = odds(types.SimpleNamespace(beta=0.1, accelerator=here), *mean)[0]
    whole = statements(home / "orpo_trainer.py", "loss", **{**given, "losses": ratio})["loss"]
    yield row("ORPO", library, source, "ORPOTrainer", whole, beta=0.1)


class Fixed:
    """The names of TRL's divergences; ours is none of the special ones."""

    ALPHA_DIVERGENCE = types.SimpleNamespace(value="alpha_divergence")
    JS_DIVERGENCE = types.SimpleNamespace(value="js_divergence")


def from_simpo(x, folder):
    find, source = clone(folder, "princeton-nlp/SimPO")
    official = method(find("scripts/simpo_trainer.py"), "simpo_loss")
    trainer = types.SimpleNamespace(beta=2.0, gamma_beta_ratio=1.0, loss_type="sigmoid", label_smoothing=0.0, accelerator=HERE)
    value = official(trainer, *(q / n for q, n in zip(four(x)[:2], lengths(x), strict=True)))[0]
    yield row("SimPO", "princeton-nlp/SimPO", source, "simpo_loss", value, beta=2.0, gamma_beta_ratio=1.0)


PARTS = (
    *(from_lightly, from_metric_learning, from_authors_of_softmaxes, from_authors_of_dcl, from_text_and_images),
    *(from_dpo, from_trl, from_trl_before, from_simpo),
)


def dumps(stored):
    """JSON with one input or number a line."""
    inputs = ",\n  ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in stored["inputs"].items())
    found = ",\n  ".join(json.dumps(r) for r in stored["rows"])
    return f'{{\n "note": {json.dumps(stored["note"])},\n "inputs": {{\n  {inputs}\n }},\n "rows": [\n  {found}\n ]\n}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--write", action="store_true", help="store the numbers instead of comparing them")
    args = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    x = drawn()
    found = [one for part in PARTS for one in part(x, args.sources)]
    if args.write:
        inputs = {name: value.tolist() for name, value in x.items()}
        STORE.write_text(dumps({"note": NOTE, "inputs": inputs, "rows": found}), encoding="utf-8")
    stored = json.loads(STORE.read_text(encoding="utf-8"))["rows"]
    worst = max(abs(a["value"] - b["value"]) for a, b in zip(found, stored, strict=True))
    print(f"{len(found)} numbers; largest difference {worst:.1e}")


if __name__ == "__main__":
    main()

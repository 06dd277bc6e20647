"""Recompute the numbers of `vision.json` with other people's code: `python tests/oracles/regenerate.py CLONES [--write]`.

No test runs it. It needs a throw-away environment with torch and, installed with `--no-deps`, the packages lightly 1.6.0 and
info-nce-pytorch 0.1.4. CLONES is a folder with a clone of each repository below, as `owner+name`. Only the functions that are
named are taken out of a file and run, so that nothing else of a training script is needed. Without `--write` the numbers are
compared with those that are stored. `sup_con(form="in")` is missing: only TensorFlow code (google-research/supcon) has it.
"""

import argparse
import ast
import functools
import json
import subprocess
import types
import typing
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STORE = Path(__file__).with_name("vision.json")
ALONE = types.SimpleNamespace(world_size=lambda: 1, is_available=lambda: True, is_initialized=lambda: False)  # one process
TWO, MODALITIES, THREE = {"z1": "view0", "z2": "view1"}, {"a": "view0", "b": "view1"}, {"views": ["view0", "view1", "view2"]}


def by(**options):
    """One set of options for each value of one, or each row of several."""
    return [dict(zip(options, row, strict=True)) for row in zip(*options.values(), strict=True)]


TEMPERATURES = by(temperature=[0.07, 0.1, 0.5])


def pieces(file, *names, **given):
    """The named functions and classes of a file, run with torch and what is `given` for everything they refer to."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    keep = [node for node in tree.body if getattr(node, "name", None) in names]
    assert {node.name for node in keep} == set(names), (file, names)
    space = {**vars(typing), "torch": torch, "nn": nn, "F": F, "np": np, "Tensor": Tensor, "dist": ALONE, **given}
    exec(compile(ast.Module(keep, []), str(file), "exec"), space)
    return types.SimpleNamespace(**{name: space[name] for name in names})


def package(name):
    """A function that finds a file of an installed package, and how we cite the package."""
    found = distribution(name)
    return found.locate_file, f"{name} {found.version}"


def clone(folder, repo):
    """A function that finds a file of a clone, and how we cite the clone."""
    root = Path(folder) / repo.replace("/", "+")
    noted = root / "COMMIT"  # for an unpacked archive, which has no .git
    head = ["git", "-C", str(root), "rev-parse", "HEAD"]
    commit = noted.read_text() if noted.exists() else subprocess.check_output(head, text=True)
    return root.joinpath, f"{repo} at {commit.strip()[:12]}"


def rows(z):
    return F.normalize(z, dim=-1)


def from_lightly():
    find, source = package("lightly")
    bank = pieces(find("lightly/models/modules/memory_bank.py"), "MemoryBankModule", Module=nn.Module).MemoryBankModule
    ntx = pieces(find("lightly/loss/ntx_ent_loss.py"), "NTXentLoss", MemoryBankModule=bank, torch_dist=ALONE).NTXentLoss
    names = "DCLLoss", "DCLWLoss", "negative_mises_fisher_weights"
    dcl = pieces(find("lightly/loss/dcl_loss.py"), *names, torch_dist=ALONE, partial=functools.partial)
    barlow = pieces(find("lightly/loss/barlow_twins_loss.py"), "BarlowTwinsLoss", "_normalize", "_off_diagonal")
    names = "VICRegLoss", "invariance_loss", "variance_loss", "covariance_loss"
    vicreg = pieces(find("lightly/loss/vicreg_loss.py"), *names).VICRegLoss
    cosine = pieces(
        find("lightly/loss/negative_cosine_similarity.py"), "NegativeCosineSimilarity", cosine_similarity=F.cosine_similarity
    ).NegativeCosineSimilarity()
    swav = pieces(find("lightly/loss/swav_loss.py"), "SwaVLoss", "sinkhorn").SwaVLoss

    def predicted(p1, z2, p2, z1):
        return (cosine(p1, z2.detach()) + cosine(p2, z1.detach())) / 2

    def swapped(scores1, scores2, temperature=0.1, epsilon=0.05, iterations=3):
        return swav(temperature, iterations, epsilon)([scores1, scores2], [])[0]

    sharper = [*TEMPERATURES, {"temperature": 0.1, "sigma": 0.2}]
    weights = by(similarity=[25, 1], variance=[25, 2], covariance=[1, 3])
    scores = {"scores1": "scores1", "scores2": "scores2"}
    codes = [{}, {"temperature": 0.2, "epsilon": 0.1, "iterations": 5}]
    four = {"p1": "view0", "z2": "view1", "p2": "view2", "z1": "short"}
    yield "nt_xent", TWO, TEMPERATURES, lambda a, b, temperature: ntx(temperature)(a, b), "NTXentLoss", source
    yield "dcl", TWO, TEMPERATURES, lambda a, b, temperature: dcl.DCLLoss(temperature)(a, b), "DCLLoss", source
    yield "dclw", TWO, sharper, lambda a, b, **options: dcl.DCLWLoss(**options)(a, b), "DCLWLoss", source
    lambdas = by(lambda_=[0.005, 0.05])
    yield "barlow_twins", TWO, lambdas, lambda a, b, lambda_: barlow.BarlowTwinsLoss(lambda_)(a, b), "BarlowTwinsLoss", source
    yield "vicreg", TWO, weights, lambda a, b, **w: vicreg(*w.values())(a, b), "VICRegLoss", source
    yield "simsiam", four, [{}], predicted, "NegativeCosineSimilarity, both ways", source
    yield "swav", scores, codes, swapped, "SwaVLoss", source


def from_packages_and_clip(folder):
    find, source = package("info-nce-pytorch")
    nce = pieces(find("info_nce/__init__.py"), "info_nce", "normalize", "transpose").info_nce
    two = {"anchors": "view0", "positives": "view1"}
    yield "info_nce", two, TEMPERATURES, nce, "info_nce", source
    yield "info_nce", {**two, "negatives": "view2"}, [{}], nce, "info_nce, unpaired", source
    paired = functools.partial(nce, negative_mode="paired")
    yield "info_nce", {**two, "negatives": "own"}, [{}], paired, "info_nce, paired", source

    find, source = clone(folder, "mlfoundations/open_clip")
    clip = pieces(find("src/open_clip/loss.py"), "ClipLoss", "SigLipLoss")

    def symmetric(a, b, temperature):
        return clip.ClipLoss()(rows(a), rows(b), 1 / temperature)

    def sigmoid(a, b, temperature, bias):
        return clip.SigLipLoss()(rows(a), rows(b), 1 / temperature, bias)

    yield "clip_loss", MODALITIES, TEMPERATURES, symmetric, "ClipLoss", source
    yield "siglip", MODALITIES, by(temperature=[0.1, 0.5], bias=[-10.0, 1.0]), sigmoid, "SigLipLoss", source


def from_supervised_and_negatives(folder):
    find, source = clone(folder, "HobbitLong/SupContrast")
    supcon = pieces(find("losses.py"), "SupConLoss").SupConLoss

    def without_factor(z, labels, temperature):  # theirs is temperature / base_temperature
        return supcon(temperature, base_temperature=temperature)(rows(z), labels)

    two_views, one_view = {"z": ["view0", "view1"], "labels": "labels"}, {"z": ["view0"], "labels": "lonely"}
    yield "sup_con", two_views, TEMPERATURES, without_factor, "SupConLoss", source
    yield "sup_con", one_view, by(temperature=[0.1]), without_factor, "SupConLoss, one view", source

    find, source = clone(folder, "joshr17/HCL")

    def hard(a, b, temperature, beta, tau_plus):
        hcl = pieces(find("image/main.py"), "criterion", "get_negative_mask", device="cpu", temperature=temperature)
        return hcl.criterion(rows(a), rows(b), tau_plus, len(a), beta, "hard")

    kinds = [(1.0, 0.0), (1.0, 0.1), (0.5, 0.1), (0.0, 0.0)]
    options = [{**t, "beta": beta, "tau_plus": tau_plus} for t in TEMPERATURES for beta, tau_plus in kinds]
    yield "hard_negative", TWO, options, hard, "criterion", source

    find, source = clone(folder, "chingyaoc/DCL")

    def debiased(a, b, temperature, tau_plus):  # its loss stands in a training loop: one step, in which nothing is trained
        optimizer = types.SimpleNamespace(zero_grad=lambda: None, step=lambda: None)
        Tensor.cuda = lambda self, **_: self
        loop = pieces(find("main.py"), "train", "get_negative_mask", tqdm=Bar, batch_size=len(a), epoch=0, epochs=0).train
        return loop(Idle(), [(a, b, None)], optimizer, temperature, True, tau_plus)

    options = by(temperature=[0.07, 0.1, 0.5, 0.5], tau_plus=[0.1, 0.1, 0.1, 0.02])
    yield "debiased", TWO, options, debiased, "one step of train", source

    find, source = clone(folder, "chenhaoxing/MACL")
    official = pieces(find("macl.py"), "MACL").MACL

    def macl(a, b, **options):
        return official(*positive_and_negatives(a, b), *options.values())

    yield "macl", TWO, by(temperature=[0.1, 0.5], alpha=[0.5, 1.0], a0=[0.0, 0.2]), macl, "MACL on NT-Xent's pairs", source


def from_views_and_energies(folder):
    find, source = clone(folder, "pakoromilas/DHEL-KCL")
    official = pieces(find("losses.py"), "DHEL").DHEL
    yield "dhel", TWO, TEMPERATURES, lambda a, b, temperature: official(temperature)(torch.cat([a, b])), "DHEL", source

    find, source = clone(folder, "pakoromilas/Multi-View-CL")
    views = pieces(find("models/losses.py"), "MVINFONCE", "MVDHEL", "NTXentHPS")
    for entry, kind in (("mv_info_nce", views.MVINFONCE), ("mv_dhel", views.MVDHEL)):

        def value(z, temperature, kind=kind):
            return kind(temperature, z.shape[1])(z.transpose(0, 1).flatten(0, 1))[0]

        yield entry, THREE, TEMPERATURES, value, kind.__name__, source

    find, source = clone(folder, "SsnL/align_uniform")
    energy = pieces(find("align_uniform/__init__.py"), "align_loss", "uniform_loss")

    def both(a, b, alpha, t, weight):
        spread = (energy.uniform_loss(rows(a), t) + energy.uniform_loss(rows(b), t)) / 2
        return energy.align_loss(rows(a), rows(b), alpha) + weight * spread

    yield "align_uniform", TWO, by(alpha=[2, 1], t=[2, 3], weight=[1, 0.5]), both, "align_loss + uniform_loss", source

    find, source = clone(folder, "Duplums/contrastive-decoupled-uniformity")
    centroids = pieces(find("src/decoupled_uniformity.py"), "DecoupledUniformityLoss", func=F).DecoupledUniformityLoss
    yield "decoupled_uniformity", THREE, by(t=[2.0, 5.0]), lambda z, t: centroids(t=t)(z), "DecoupledUniformityLoss", source

    find, source = clone(folder, "jhaochenz/spectral_contrastive_learning")
    official = pieces(find("models/spectral.py"), "D").D
    for first in ("view0", "short"):
        arguments = {"z1": first, "z2": "view1"}
        yield "spectral", arguments, by(mu=[1.0, 3.0]), lambda a, b, mu: official(a, b, mu)[0], "D", source


def positive_and_negatives(z1, z2):
    """The cosines of NT-Xent's 2n anchors to their partner, and to the others."""
    z, n = rows(torch.cat([z1, z2])), len(z1)
    s, i = z @ z.T, torch.arange(2 * n)
    partner = (i[:, None] + n) % (2 * n) == i
    return s[partner][:, None], s[~partner & (i[:, None] != i)].view(2 * n, -1)


class Idle(nn.Module):
    def forward(self, x):
        return None, rows(x)


class Bar(list):
    def set_description(self, text):
        pass


def tensors(inputs, arguments):
    """`{argument: name of an input}` made real; a list of names is stacked into views."""

    def make(name):
        return torch.tensor(inputs[name], dtype=None if name in ("labels", "lonely") else torch.float64)

    return {k: make(n) if isinstance(n, str) else torch.stack([make(m) for m in n], 1) for k, n in arguments.items()}


def recompute(inputs, folder):
    for part in (
        from_lightly(),
        *(f(folder) for f in (from_packages_and_clip, from_supervised_and_negatives, from_views_and_energies)),
    ):
        for entry, arguments, choices, official, function, source in part:
            for options in choices:
                given = tensors(inputs, arguments)
                leaves = {n: x.requires_grad_() for n, x in given.items() if x.is_floating_point()}
                value = official(*given.values(), **options)
                row = {"entry": entry, "arguments": arguments, "options": options, "function": function, "source": source}
                row["value"] = value.item() if isinstance(value, Tensor) else value
                if options is choices[0]:  # one gradient is enough
                    if isinstance(value, Tensor):
                        value.backward()
                    row["gradient"] = {n: x.grad.tolist() for n, x in leaves.items() if x.grad is not None}
                yield row


def key(row):
    return json.dumps([row["entry"], row["arguments"], row["options"]], sort_keys=True)


def dumps(stored):
    """JSON with one input or value a line."""
    inputs = ",\n  ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in stored["inputs"].items())
    values = ",\n  ".join(json.dumps(row) for row in stored["values"])
    return f'{{\n "note": {json.dumps(stored["note"])},\n "inputs": {{\n  {inputs}\n }},\n "values": [\n  {values}\n ]\n}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones")
    parser.add_argument("--write", action="store_true", help="store the numbers instead of comparing them")
    args = parser.parse_args()
    stored = json.loads(STORE.read_text(encoding="utf-8"))
    found = list(recompute(stored["inputs"], args.clones))
    if args.write:
        STORE.write_text(dumps({**stored, "values": found}), encoding="utf-8")
    known = {key(row): row["value"] for row in stored["values"]}
    new = sum(key(row) not in known for row in found)
    worst = max(abs(row["value"] - known.get(key(row), row["value"])) / max(1, abs(row["value"])) for row in found)
    print(f"{len(found)} values, {new} of them new; largest relative difference {worst:.1e}")


if __name__ == "__main__":
    main()

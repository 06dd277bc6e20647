"""What the lesson on a real language model trains and measures: sentences about lying, and the words that lose and gain."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from labkit import metrics, models
from labkit.data import statements, weights
from labkit.data.preferences import PreferencePairs, load
from labkit.data.texts import quiet
from labkit.models.causal import CausalPolicy
from labkit.models.policies import answer_gradients
from labkit.models.pretrained import Pretrained
from labkit.models.pretrained import load as pretrained
from labkit.paths import home
from labkit.registry import catalog
from labkit.results import result
from labkit.training import Call, Config, Run, call, fit
from labkit.training.run import write

NAME = "smollm2-135m"
STEPS = 13  # the history then holds where 12 steps lead
KINDS = ("near", "late", "reworded", "weaker", "opposite", "distinct")
DISAGREE = ("lie", "cheat", "take", "harm")
GAINERS = 6


def preferring(
    kind: str = "near",
    draw: int = 0,
    *,
    model: str = NAME,
    n: int = 4,
    loss: Call | None = None,
    steps: int = STEPS,
    **data: Any,
) -> Config:
    """Train the top six layers on `n` pairs about lying, drawn by `draw`; `data` are further options of "statements"."""
    asked = {"topic": "lie", "wording": "say", **data}
    return Config(
        data=call("statements", tokenizer=model, kind=kind, n=n, seed=draw, **asked),
        model=call(NAME, layers=6) if model == NAME else call("pretrained", name=model, layers=2),
        loss=loss or call("dpo", beta=0.1),
        optimizer=call("rmsprop", lr=1e-6),
        steps=steps,
        batch=64,
    )


def held_back(config: Config, **other: Any) -> PreferencePairs:
    """The pairs of the same kind about statements that no run has seen; `other` options, such as a wording, instead of its."""
    options = {k: v for k, v in config.data.kwargs.items() if k not in ("n", "seed", "id")}
    return load("statements", **{**options, "split": "held-out", **other})


# ------------------------------------------------------------------ one run, and what became of pairs it has not seen


def outcome(config: Config, *, progress: bool = False, keep: bool = False) -> dict[str, np.ndarray]:
    """Train, and measure on held-back pairs. The weights (200 MB) stay only if `keep` asks, or if they were there before."""
    folder = folder_of(config)
    kept, keep = folder / "outcome.npz", keep or (folder / "model.pt").exists()
    run = fit(config, progress=progress)
    if not (folder / "model.pt").exists() and (keep or not kept.exists()):
        (folder / "history.json").unlink()  # an earlier call let the weights go: the same numbers once more
        run = fit(config, progress=progress)
    if not kept.exists():
        found = measured(run, held_back(config))
        write(kept, lambda file: np.savez(file, **found))  # type: ignore[arg-type]
    if not keep:
        (folder / "model.pt").unlink(missing_ok=True)
    with np.load(kept) as stored:
        path = {name: np.array(run.history[name]) for name in ("chosen_gain", "margin")}
        return {**path, **dict(stored)}


def folder_of(config: Config) -> Path:
    """Where the run of this Config is kept."""
    catalog()
    return home() / "runs" / config.key(load("statements", **config.data.kwargs).sha256)


@torch.no_grad()
def measured(run: Run, held: PreferencePairs) -> dict[str, np.ndarray]:
    """How far held-back answers moved, which of their tokens did, and who gained where the chosen answer lost most."""
    before, after = models.build(run.config.model, held), run.model()
    assert isinstance(before, CausalPolicy) and isinstance(after, CausalPolicy)
    moved = {}
    for side in ("chosen", "rejected"):
        tokens, mask = getattr(held, side), getattr(held, f"{side}_mask")
        moved[side] = after.token_logps(tokens, mask) - before.token_logps(tokens, mask)
    spoken = answers_of(moved["chosen"], held.chosen_mask)
    place = int(spoken.mean(0).argmin())
    begin = held.chosen_mask.int().argmax(-1)
    there = torch.zeros_like(held.chosen_mask, dtype=torch.bool)
    there[torch.arange(len(held)), begin + place - 1] = True  # the unembedding is asked there only
    then, now = (policy.read(held.chosen, there).logits.softmax(-1).mean(0) for policy in (before, after))
    who = metrics.receivers(then.log()[None], now.log()[None], k=GAINERS)
    lost = int(held.chosen[0, begin[0] + place])
    return {
        "held": moved["chosen"].sum(-1).numpy(),
        "held_margin": (moved["chosen"].sum(-1) - moved["rejected"].sum(-1)).numpy(),
        "tokens": spoken.mean(0).numpy(),
        "words": np.array(readable(held.words(0)[int(begin[0]) :][: spoken.shape[1]])),
        "place": np.array(place),
        "gainers": np.array(readable([held.vocabulary[i] for i in who.tokens[0].tolist()])),
        "gained": who.gained[0].numpy(),
        "lost": (now - then)[lost].numpy(),
    }


def answers_of(values: Tensor, mask: Tensor) -> Tensor:
    """The answers' columns alone `(n, a)`; all answers are equally long here."""
    return values[mask].view(len(values), -1)


def readable(tokens: Sequence[str]) -> list[str]:
    """Byte-pair tokens as a reader sees them: the mark of a space becomes a space."""
    return [token.replace("Ġ", " ").replace("Ċ", "\\n") for token in tokens]


# ------------------------------------------------------------------ one word against another


def terms(policy: CausalPolicy, prompt: Tensor, chosen: int, rejected: int) -> dict[str, float]:
    """The two terms that decide what a small step of gradient descent does to a one-token answer, at this prompt `(1, t)`.

    "features": the hidden state's, of either sign; "head": the unembedding's, never negative; "autograd": the same as "head",
    from gradients.
    """
    h = policy.hidden(prompt)[0, -1].detach()
    W = policy.unembedding.detach().clone().requires_grad_()
    logps = (W @ h).log_softmax(-1)
    up, down = (torch.autograd.grad(logps[word], W, retain_graph=True)[0] for word in (chosen, rejected))
    p, W = logps.detach().exp(), W.detach()
    return {
        "features": ((W[chosen] - p @ W) @ (W[chosen] - W[rejected])).item(),
        "head": (h.square().sum() * (1 - p[chosen] + p[rejected])).item(),
        "autograd": (up * (up - down)).sum().item(),
        "norm": h.norm().item(),
        "chosen": p[chosen].item(),
        "rejected": p[rejected].item(),
    }


# ------------------------------------------------------------------ a model for where the real one is not


def tiny() -> str:
    """A folder with a random Llama of four layers and a tokenizer of our texts: for identities, which hold for any model."""
    folder = home() / "models" / "tiny-llama"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "model.safetensors").exists():
            random_llama(folder)
    return str(folder)


def random_llama(folder: Path) -> None:
    library = weights.transformers()
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers import models as kinds

    reader = Tokenizer(kinds.BPE())
    reader.pre_tokenizer, reader.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False)
    reader.train_from_iterator([row[side] for row in statements.rows() for side in ("prompt", "chosen", "rejected")], trainer)
    library.PreTrainedTokenizerFast(tokenizer_object=reader, bos_token="<s>", pad_token="<s>").save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    with torch.random.fork_rng(devices=[]), quiet(library):
        torch.manual_seed(0)
        library.LlamaForCausalLM(library.LlamaConfig(vocab_size=reader.get_vocab_size(), **sizes)).save_pretrained(folder)


def opened(smoke: bool) -> Pretrained:
    """SmolLM2, fetched if need be; in smoke mode, or where it cannot be had, the tiny random model."""
    if smoke:
        return pretrained(tiny())
    try:
        return pretrained(NAME)
    except FileNotFoundError as error:
        print(f"{error}\nSo what follows shows stored numbers, and identities on a tiny random model.")
        return pretrained(tiny())


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """The mean of a few runs and its t interval."""
    from scipy.stats import t

    mean, half = values.mean(), t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)


# ------------------------------------------------------------------ what is stored


@result("real_language_model")
def trials(kinds: Sequence[str] = ("one word", *KINDS), draws: Sequence[int] = (0, 1, 2)) -> dict[str, np.ndarray]:
    """Every kind of rejected answer, three draws of four statements about lying each: 21 runs, about eight minutes."""
    found = []
    for kind, draw in itertools.product(kinds, draws):
        config = preferring("near", draw, words=1) if kind == "one word" else preferring(kind, draw)
        found.append({"kind": np.array(kind), "draw": np.array(draw), **outcome(config)})
    return {name: stacked([row[name] for row in found]) for name in found[0]}


def stacked(rows: list[np.ndarray]) -> np.ndarray:
    """One array; shorter rows end in NaN, or in empty words."""
    width = max((row.shape[-1] for row in rows if row.ndim), default=0)
    empty: Any = math.nan if rows[0].dtype.kind == "f" else ""
    return np.stack([np.append(row, [empty] * (width - row.shape[-1])) if row.ndim else row for row in rows])


def stored_trial(stored: dict[str, np.ndarray], kind: str, draw: int) -> dict[str, np.ndarray]:
    """One of the stored trials, as `outcome` returned it."""
    row = int(np.flatnonzero((stored["kind"] == kind) & (stored["draw"] == draw))[0])
    found = {name: values[row] for name, values in stored.items()}
    words = found["words"][found["words"] != ""]
    return {**found, "words": words, "tokens": found["tokens"][: len(words)]}


@result("real_language_model_statements")
def one_by_one(topics: Sequence[str] = DISAGREE, kinds: Sequence[str] = ("near",)) -> dict[str, np.ndarray]:
    """Each of the 40 statements alone: how far its own chosen answer moved. 40 runs, about six minutes."""
    found = []
    for topic, kind in itertools.product(topics, kinds):
        for row in statements.rows(topic=topic, kind=kind, wording="say"):
            config = preferring(kind, id=row["id"], n=1, topic=topic, split=row["split"])
            history = fit(config, progress=False).history
            end = {name: history[name][-1] for name in ("chosen_gain", "margin")}
            (folder_of(config) / "model.pt").unlink(missing_ok=True)
            found.append(
                {"id": row["id"], "topic": topic, "kind": kind, "statement": row["statement"], **end, **known_before(config)}
            )
    return {name: np.array([row[name] for row in found]) for name in found[0]}


@torch.no_grad()
def known_before(config: Config, place: int = 5) -> dict[str, Any]:
    """What the model says of one pair before training.

    "word": how likely the chosen answer's word at this place is; "best", "best_p": the word that the model would rather say
    there; "ending": how much likelier what both answers share is after the chosen one's first word than after the other's.
    """
    data = load("statements", **config.data.kwargs)
    policy = models.build(config.model, data)
    at = int(data.chosen_mask[0].int().argmax()) + place
    p = policy(data.chosen)[0, at - 1].softmax(-1)
    best = int(p.argmax())
    assert isinstance(policy, CausalPolicy) and data.rejected is not None and data.rejected_mask is not None
    chosen, rejected = (
        answers_of(policy.token_logps(tokens, mask), mask)[0, 1:].sum().item()
        for tokens, mask in ((data.chosen, data.chosen_mask), (data.rejected, data.rejected_mask))
    )
    about = {"best": readable([data.vocabulary[best]])[0], "best_p": p[best].item(), "ending": chosen - rejected}
    return {"word": p[data.chosen[0, at]].item(), **about}


@result("real_language_model_ratios")
def ratios(kinds: Sequence[str] = KINDS) -> dict[str, np.ndarray]:
    """What two ratios of gradients say before training, for one statement about lying; a minute."""
    found = []
    for kind in kinds:
        data = load("statements", tokenizer=NAME, id=f"lie-00-{kind}-say")
        policy = models.build(preferring().model, data)
        sides = [(getattr(data, side), getattr(data, f"{side}_mask")) for side in ("chosen", "rejected")]
        up, down = (answer_gradients(policy, *side)[0] for side in sides)
        found.append((metrics.entanglement(up, down).item(), metrics.sign_entanglement(up, down).item()))
    plain, signs = np.array(found).T
    return {"kind": np.array(kinds), "ratio": plain, "sign_ratio": signs}


@result("real_language_model_account")
def accounts(kinds: Sequence[str] = ("near", "opposite")) -> dict[str, np.ndarray]:
    """What the chosen answers' own push and the push on the rejected ones made of every step, added up; two minutes a kind."""
    found = []
    for kind in kinds:
        history = fit(preferring(kind).replace(account=True), progress=False).history
        columns = {"own": "account_chosen_own", "entangled": "account_chosen_entangled", "total": "account_chosen"}
        sums = {name: np.cumsum([0.0, *history[column]]) for name, column in columns.items()}
        found.append({"kind": np.array(kind), "true": np.cumsum([0.0, *history["chosen_change"]]), **sums})
    return {name: np.stack([row[name] for row in found]) for name in found[0]}

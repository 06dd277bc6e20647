"""Policies over pretrained language models: what the model says, to the bit; what learns, and nothing else, is kept."""

import copy
from types import SimpleNamespace

import pytest
import torch

from labkit import preferences
from labkit.models import causal

transformers = pytest.importorskip("transformers", reason='needs pip install "labkit[lm]"')
SIZES = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 24}
KINDS = {
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=True)
    ),
    "llama, untied": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, tie_word_embeddings=False)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SIZES, num_key_value_heads=2)),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(
        transformers.Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=4, sliding_window=3, final_logit_softcapping=5.0)
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=61, n_embd=16, n_layer=4, n_head=4, n_positions=32)
    ),
}


def made(kind="llama", seed=0):
    torch.manual_seed(seed)
    return KINDS[kind]().eval()


def answers(n=3, t=9, prompt=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(61, (n, t), generator=generator)
    mask = torch.zeros(n, t, dtype=torch.bool)
    mask[:, prompt : t - 1] = True
    return tokens, mask


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 3, 4, None])
def test_a_policy_says_what_the_model_says(kind, layers):
    model, (tokens, mask) = made(kind), answers()
    policy = causal.CausalPolicy(model, layers)
    with torch.no_grad():
        whole = model(tokens, output_hidden_states=True)
        torch.testing.assert_close(policy(tokens), whole.logits, rtol=0, atol=2e-6)
        torch.testing.assert_close(policy.hidden(tokens), whole.hidden_states[-1], rtol=0, atol=2e-6)
        expected = preferences.token_logps(whole.logits, tokens, mask)
        torch.testing.assert_close(policy.token_logps(tokens, mask), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_models_own(kind):
    model, (tokens, mask) = made(kind), answers()
    policy = causal.CausalPolicy(model, 2)
    preferences.sequence_logps(policy(tokens), tokens, mask).sum().backward()
    twin = copy.deepcopy(model)
    if twin.config.tie_word_embeddings:  # the policy's unembedding is its own
        twin.get_output_embeddings().weight = torch.nn.Parameter(twin.get_output_embeddings().weight.detach().clone())
    preferences.sequence_logps(twin(tokens).logits, tokens, mask).sum().backward()
    theirs = dict(twin.named_parameters())
    assert len(policy.names) > 10
    for name in policy.names:
        ours = policy.learned[causal.slashed(name)].grad
        torch.testing.assert_close(ours, theirs[name].grad, rtol=1e-4, atol=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_padding_on_the_right_is_harmless():
    model, (tokens, mask) = made(), answers()
    policy = causal.CausalPolicy(model, 2)
    wide, wide_mask = torch.nn.functional.pad(tokens, (0, 5), value=2), torch.nn.functional.pad(mask, (0, 5))
    with torch.no_grad():
        torch.testing.assert_close(policy(wide)[:, :9], policy(tokens), rtol=0, atol=1e-6)
        torch.testing.assert_close(policy.token_logps(wide, wide_mask)[:, :9], policy.token_logps(tokens, mask))


def test_the_prefix_is_evaluated_once_and_forgotten_in_order():
    model, (tokens, _) = made(), answers(n=4)
    policy = causal.CausalPolicy(model, 2)
    once = policy(tokens)
    calls = []
    policy.frozen.model.register_forward_hook(lambda *_: calls.append(1))
    assert torch.equal(policy(tokens), once) and torch.equal(policy(tokens[[2, 0]]), policy(tokens)[[2, 0]]) and not calls
    row = causal.size(next(iter(policy.frozen.states.values())))
    small = causal.CausalPolicy(model, 2, limit=2 * row)
    assert torch.equal(small(tokens), once)
    assert len(small.frozen.states) == 2 and small.frozen.held == 2 * row


def test_only_what_learns_is_kept_and_copies_share_the_rest():
    model, (tokens, mask) = made(), answers()
    policy = causal.CausalPolicy(model, 1)
    kept = policy.state_dict()
    assert {name.removeprefix("learned.").split("/")[-1] for name in kept} >= {"weight"}
    assert all("layers/3" in name or "norm" in name or "lm_head" in name for name in kept) and len(kept) == 9 + 1 + 1
    twin = copy.deepcopy(policy)
    assert twin.frozen is policy.frozen
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(policy.parameters(), lr=1.0)
    policy.token_logps(tokens, mask).sum().backward()
    optimizer.step()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert torch.equal(twin(tokens), causal.CausalPolicy(model, 1)(tokens)) and not torch.equal(policy(tokens), twin(tokens))
    twin.load_state_dict(kept)
    assert torch.equal(twin(tokens), policy(tokens))


@pytest.mark.parametrize("layers", [2, None])
@pytest.mark.parametrize("part", ["all", "head", "body"])
def test_parts_learn_as_asked(part, layers):
    policy = causal.CausalPolicy(made(), layers, train=part)
    learning = {name for name, p in policy.learned.items() if p.requires_grad}
    head = {causal.slashed(name) for name in policy.heads}
    assert len(head) == 1 and policy.unembedding.shape == (61, 16)
    assert learning == {"all": set(policy.learned), "head": head, "body": set(policy.learned) - head}[part]


def test_another_precision_is_another_model():
    model, (tokens, _) = made(), answers()
    policy = causal.CausalPolicy(model, 2)
    double = copy.deepcopy(policy).double()
    assert double.frozen is not policy.frozen and double(tokens).dtype == torch.float64
    torch.testing.assert_close(double(tokens), copy.deepcopy(model).double()(tokens).logits, rtol=0, atol=1e-12)
    assert policy(tokens).dtype == torch.float32


def test_a_trainer_that_asks_for_half_precision_gets_the_exact_answer():
    model, (tokens, mask) = made(), answers()
    policy = causal.CausalPolicy(model, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(tokens).logits.dtype == torch.bfloat16  # weights rounded to 8 bits: a step of 1e-6 would be lost
        half = policy(tokens), policy.token_logps(tokens, mask)
    assert torch.equal(half[0], policy(tokens)) and torch.equal(half[1], policy.token_logps(tokens, mask))


def test_bad_requests_are_refused_in_words(tmp_path):
    with pytest.raises(ValueError, match=r"layers must be in \[1, 4\] or None for the whole model, got 5"):
        causal.CausalPolicy(made(), 5)
    with pytest.raises(ValueError, match="train must be 'all', 'head' or 'body', got 'top'"):
        causal.CausalPolicy(made(), 2, train="top")
    made().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"the data has 99 token ids, .* knows 61"):
        causal.pretrained(SimpleNamespace(vocabulary=("x",) * 99), str(tmp_path), layers=2)

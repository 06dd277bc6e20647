"""What DisplacementCallback costs: its share of a DPO run at its defaults, and what it would be without its limit.

`python tests/benchmarks/callback.py [pairs per step]`. Never part of a timed test.
"""

import platform
import sys
import tempfile
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, default_data_collator

from labkit import DisplacementCallback, preferences
from labkit.data.preferences import PreferencePairs

PROMPT, ANSWER, WORDS, PAIRS, STEPS = 32, 32, 2000, 256, 400


class Dpo(Trainer):
    reference = None

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        logps = []
        for policy in (model, self.reference):
            for side in ("chosen", "rejected"):
                tokens, mask = inputs[side], inputs[f"{side}_mask"]
                logps.append(preferences.sequence_logps(policy(input_ids=tokens).logits, tokens, mask))
        return preferences.dpo(*logps[:2], *(x.detach() for x in logps[2:]))


class Timed(DisplacementCallback):
    """Keeps the time of every look, and of the whole."""

    def on_train_begin(self, *given, **named):
        super().on_train_begin(*given, **named)
        self.start = time.perf_counter()

    def on_step_end(self, *given, **named):
        super().on_step_end(*given, **named)
        self.end = time.perf_counter()


def llama():
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, num_key_value_heads=4, **sizes))


def pairs():
    prompt = torch.randint(3, WORDS, (PAIRS, PROMPT))
    sides = [torch.cat([prompt, torch.randint(3, WORDS, (PAIRS, ANSWER))], 1) for _ in range(2)]
    mask = (torch.arange(PROMPT + ANSWER) >= PROMPT).expand(PAIRS, -1)
    return PreferencePairs(sides[0], mask, sides[1], mask, tuple(map(str, range(WORDS))))


class Rows(torch.utils.data.Dataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return {name: getattr(self.data, name)[i] for name in ("chosen", "chosen_mask", "rejected", "rejected_mask")}


def share(batch, **options):
    """Seconds of looking after step 0, as a share of the rest."""
    data, watch = pairs(), Timed(pairs(), **options)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=STEPS, per_device_train_batch_size=batch, report_to=[], use_cpu=True, save_strategy="no",
            logging_strategy="no", remove_unused_columns=False, disable_tqdm=True,
        )  # fmt: skip
        trainer = Dpo(llama(), arguments, train_dataset=Rows(data), callbacks=[watch], data_collator=default_data_collator)
        trainer.reference = llama().eval().requires_grad_(False)
        trainer.train()
    spent = watch.spent  # the last look, after the last step, is in it
    return spent / (watch.end - watch.start - spent), spent


def main():
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} thread; {STEPS} steps of {batch} pairs")
    for name, options in (("at its defaults", {}), ("without its limit", {"share": 1e9})):
        part, spent = share(batch, **options)
        print(f"{name:18} {part:6.2%} of the training time ({spent:.2f} s)")


if __name__ == "__main__":
    main()

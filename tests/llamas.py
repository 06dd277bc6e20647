"""A Llama of a few thousand weights, a tokenizer of a few words, and preferences to train them on, all made on the spot."""

import torch
from torch.utils.data import Dataset

WORDS = (
    "<pad> </s> <unk> Yes No Never , . I you would could say think do it that this now again here user assistant : "
    "lie? steal? cheat? sing? cook? walk?"
).split()
PROMPTS = ("lie?", "steal?", "cheat?")
ENDING = ("I would say that now", "you could do it here", "I think this again")


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"
    template += "{% if add_generation_prompt %}assistant : {% endif %}"
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **names)


def llama(seed=0, d=32, layers=2):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": d, "intermediate_size": 2 * d, "num_hidden_layers": layers, "num_attention_heads": 4}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), num_key_value_heads=4, **sizes, **ends))


def records(same=True):
    """No over Never: the rejected answer ends as the chosen one, or otherwise."""
    made = []
    for i, prompt in enumerate(PROMPTS):
        for j, ending in enumerate(ENDING):
            other = ending if same else ENDING[(j + 1) % len(ENDING)]
            pair = {"prompt": f"{prompt} ", "chosen": f"No , {ending}", "rejected": f"Never , {other}"}
            made.append({"id": f"{i}{j}", **pair})
    return made


class Pairs(Dataset):
    """Chosen and rejected sequences under each other, as a collator of a DPO trainer makes them."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return {name: getattr(self.data, name)[i] for name in ("chosen", "chosen_mask", "rejected", "rejected_mask")}

"""Our losses beside the obvious dense code, in one run, as ratios: `make bench`. Never part of a timed test."""

import platform
import statistics
import time

import torch
import torch.nn.functional as F

from labkit.losses import align_uniform, nt_xent, sup_con

PAIRS, WIDTH, ROUNDS = (256, 1024, 2048), 128, 5


def naive_nt_xent(z1, z2):
    z = F.normalize(torch.cat([z1, z2]), dim=-1)
    logits = (z @ z.T / 0.5).masked_fill(torch.eye(len(z), dtype=torch.bool), float("-inf"))
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))


def naive_sup_con(z, labels):
    z = F.normalize(z, dim=-1)
    itself = torch.eye(len(z), dtype=torch.bool)
    log_p = (z @ z.T / 0.1).masked_fill(itself, float("-inf")).log_softmax(-1)
    same = (labels[:, None] == labels) & ~itself
    return (-log_p.masked_fill(~same, 0).sum(-1) / same.sum(-1)).mean()


def naive_align_uniform(z1, z2):
    z1, z2 = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    uniform = [torch.pdist(z).pow(2).mul(-2).exp().mean().log() for z in (z1, z2)]
    return (z1 - z2).norm(dim=1).pow(2).mean() + (uniform[0] + uniform[1]) / 2


def seconds(loss, *tensors):
    start = time.process_time()
    loss(*tensors).backward()
    return time.process_time() - start


def compare(name, ours, naive, *tensors):
    """Alternately ours and naive, after one warm-up of each; the median of the ratios and their range."""
    seconds(ours, *tensors), seconds(naive, *tensors)
    ratios = [seconds(ours, *tensors) / seconds(naive, *tensors) for _ in range(ROUNDS)]
    print(f"{name:34s} {statistics.median(ratios):6.2f}   [{min(ratios):.2f}, {max(ratios):.2f}]")


def main():
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads")
    print(f"{'forward + backward, float32':34s}  ours / naive, CPU seconds: median [min, max] of {ROUNDS}")
    for n in PAIRS:
        z1, z2 = (torch.randn(n, WIDTH, requires_grad=True) for _ in range(2))
        labels = torch.arange(n) // 8
        compare(f"nt_xent, {n} pairs", nt_xent, naive_nt_xent, z1, z2)
        compare(f"nt_xent in blocks of 256, {n} pairs", lambda a, b: nt_xent(a, b, block_size=256), naive_nt_xent, z1, z2)
        compare(f"sup_con, {n} rows", sup_con, naive_sup_con, z1, labels)
        compare(f"align_uniform, {n} pairs", align_uniform, naive_align_uniform, z1, z2)


if __name__ == "__main__":
    main()

"""What sits on an encoder: a projector, a predictor, a moving average of the whole."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROJECTOR_WIDTH = 128
OUT = 32


def mlp_head(width_in: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, hidden), nn.ReLU(), nn.Linear(hidden, out))


class Encoder(nn.Module):
    """`model(x)` is z, `.features(x)` is h (what one keeps), `.project(h)` is z, `.predict(z)` is p.

    Without a projector z is h; `.scores(z)` compares z with prototypes, as in SwAV. With `by_index` the model is called with
    the rows' numbers, not with their contents.
    """

    by_index = False

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        *,
        out: int | None = None,
        projector: bool | int = False,
        predictor: bool | int = False,
        prototypes: int = 0,
    ):
        super().__init__()
        self.backbone = backbone
        hidden = PROJECTOR_WIDTH if projector is True else int(projector)
        if hidden:
            width_out = out or OUT
            self.projector: nn.Module = mlp_head(width, hidden, width_out)
        else:
            width_out = width
            self.projector = nn.Identity()
        narrow = max(width_out // 4, 1) if predictor is True else int(predictor)  # a bottleneck, as in SimSiam
        self.predictor = mlp_head(width_out, narrow, width_out) if narrow else None
        self.prototypes = nn.Linear(width_out, prototypes, bias=False) if prototypes else None

    def features(self, x: Tensor) -> Tensor:
        return self.backbone(x)

    def project(self, h: Tensor) -> Tensor:
        return self.projector(h)

    def predict(self, z: Tensor) -> Tensor:
        if self.predictor is None:
            raise RuntimeError("this model was built without a predictor; build it with predictor=True")
        return self.predictor(z)

    def scores(self, z: Tensor) -> Tensor:
        """Cosines of z with the prototypes."""
        if self.prototypes is None:
            raise RuntimeError("this model was built without prototypes; build it with prototypes=30 or so")
        return F.linear(F.normalize(z, dim=-1), F.normalize(self.prototypes.weight, dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.features(x))


class Ema(nn.Module):
    """A copy of a model that follows it slowly: the target of BYOL and MoCo. It never receives a gradient.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> model.weight.data.fill_(0.0)
    tensor([[0.]])
    >>> target = Ema(model, decay=0.9)
    >>> model.weight.data.fill_(1.0)
    tensor([[1.]])
    >>> target.update(model)
    >>> target(torch.ones(1))
    tensor([0.1000])
    """

    def __init__(self, model: nn.Module, *, decay: float = 0.99):
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must be in [0, 1], got {decay}; 0.99 to 0.999 is usual")
        self.decay = decay
        self.copy = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.copy(x)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """One step towards the model; what is not a parameter (batch statistics) is taken over."""
        for mine, theirs in zip(self.copy.parameters(), model.parameters(), strict=True):
            mine.lerp_(theirs, 1 - self.decay)
        for kept, new in zip(self.copy.buffers(), model.buffers(), strict=True):
            kept.copy_(new)

"""What sits on an encoder: a projector, a predictor, a moving average of the whole."""

from torch import Tensor, nn

PROJECTOR_WIDTH = 128
OUT = 32


def mlp_head(width_in: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, hidden), nn.ReLU(), nn.Linear(hidden, out))


class Encoder(nn.Module):
    """`model(x)` is z, `.features(x)` is h (what one keeps), `.project(h)` is z, `.predict(z)` is p.

    Without a projector z is h. With `by_index` the model is called with the rows' numbers, not with their contents.
    """

    by_index = False

    def __init__(self, backbone: nn.Module, width: int, *, out: int | None, projector: bool | int, predictor: bool | int):
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

    def features(self, x: Tensor) -> Tensor:
        return self.backbone(x)

    def project(self, h: Tensor) -> Tensor:
        return self.projector(h)

    def predict(self, z: Tensor) -> Tensor:
        if self.predictor is None:
            raise RuntimeError("this model was built without a predictor; build it with predictor=True")
        return self.predictor(z)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.features(x))

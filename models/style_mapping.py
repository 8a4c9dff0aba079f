"""The style mapping (paper, section 4.2): pose and expression of one picture drawn with the identity of another.

Keypoints of the identity are moved by a pose and an expression (equations 5 and 6). The motion between the neutral
picture's own keypoints and those with the reference's style bends the neutral picture's encoded features, and the
intermediate generator draws the Intermediate Style Pattern from them. The paper says what the parts do, not how they
are built; they are built as in the work it follows (one-shot free-view synthesis, arXiv 2011.15126), in the plane.
Places are in the picture's own units: -1 at its left and upper edge, 1 at its right and lower edge; z points away.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.generator import ResidualBlock

KEYPOINTS = 15
WIDTH = 24
PICTURE_SIZE = 128
NEUTRAL_PICTURE = "neutral.png"
"""File beside trained weights: the canonical neutral person's face, in the size of the network's pictures."""
_MOTION_SCALE = 4
"""Pixels of the picture for one of the motion field and of the encoded features."""
_SPREAD = 0.01
"""Variance of the blob that stands for a keypoint."""
_EXPRESSION_REACH = 0.2


class HeadState(NamedTuple):
    """What a picture says beside identity.

    Attributes:
        rotation: (B, 3, 3).
        translation: (B, 3).
        expression: (B, K, 3), how far each keypoint is moved.
    """

    rotation: Tensor
    translation: Tensor
    expression: Tensor


class KeypointExtractor(nn.Module):
    """Keypoints c_k of an identity, whatever its pose and expression: a small hourglass and a soft argmax."""

    def __init__(self, width: int = WIDTH, keypoints: int = KEYPOINTS) -> None:
        super().__init__()
        self.down = nn.Sequential(
            _block(3, width, 2),
            _block(width, 2 * width, 2),
            _block(2 * width, 4 * width, 2),
            _block(4 * width, 4 * width),
        )
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), _block(4 * width, 2 * width))
        self.heat = nn.Conv2d(2 * width, keypoints, 3, padding=1)
        self.depth = nn.Conv2d(2 * width, keypoints, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """Float32 (B, 3, S, S), 0..1, to (B, K, 3)."""
        x = self.up(self.down(picture))
        heat = self.heat(x).float()
        share = (heat.flatten(2) / 0.1).softmax(-1).view_as(heat)
        grid = _grid(heat)
        places = (share[..., None] * grid).sum((2, 3))
        depth = 0.5 * torch.tanh((share * self.depth(x)).sum((2, 3)))
        return torch.cat([places, depth[..., None]], -1)


class PoseExpression(nn.Module):
    """Pose and expression of a picture."""

    def __init__(self, width: int = WIDTH, keypoints: int = KEYPOINTS) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            _block(3, width, 2),
            _block(width, 2 * width, 2),
            _block(2 * width, 3 * width, 2),
            _block(3 * width, 4 * width, 2),
            _block(4 * width, 4 * width, 2),
        )
        self.pose = nn.Linear(4 * width, 6)
        self.expression = nn.Linear(4 * width, 3 * keypoints)
        for layer in (self.pose, self.expression):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)

    def forward(self, picture: Tensor) -> HeadState:
        """Float32 (B, 3, S, S), 0..1, to what it says beside identity."""
        told = self.tower(picture).mean((2, 3))
        vector, translation = self.pose(told).float().split(3, dim=-1)
        expression = _EXPRESSION_REACH * torch.tanh(self.expression(told).float())
        return HeadState(rotation_matrices(vector), translation, expression.view(len(told), -1, 3))


class DenseMotion(nn.Module):
    """From two sets of keypoints to where every place of the picture comes from, and what is not to be seen there."""

    def __init__(self, width: int = WIDTH, keypoints: int = KEYPOINTS) -> None:
        super().__init__()
        inputs = (keypoints + 1) * 4
        self.down = nn.ModuleList(
            [_block(inputs, 2 * width), _block(2 * width, 2 * width, 2), _block(2 * width, 4 * width, 2)]
        )
        self.up = nn.ModuleList([_block(4 * width, 2 * width), _block(4 * width, 2 * width)])
        self.share = nn.Conv2d(4 * width, keypoints + 1, 3, padding=1)
        self.seen = nn.Conv2d(4 * width, 1, 3, padding=1)

    def forward(self, picture: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the motion.

        Args:
            picture: float32 (B, 3, s, s), the source, small.
            source: (B, K, 3), its keypoints.
            target: (B, K, 3), where they are to be.

        Returns:
            Where to take from, (B, s, s, 2), and how much of it is to be seen, (B, 1, s, s), 0..1.
        """
        batch, keypoints = source.shape[:2]
        grid = _grid(picture)
        moved = grid[None, None] + (source - target)[:, :, None, None, :2]
        still = grid[None, None].expand(batch, 1, -1, -1, -1)
        candidates = torch.cat([still, moved], 1)
        side = picture.shape[-1]
        repeated = picture[:, None].expand(-1, keypoints + 1, -1, -1, -1).flatten(0, 1)
        bent = functional.grid_sample(repeated, candidates.flatten(0, 1), align_corners=False, padding_mode="border")
        blobs = _blobs(target, grid) - _blobs(source, grid)
        blobs = torch.cat([torch.zeros_like(blobs[:, :1]), blobs], 1)
        x = torch.cat([blobs[:, :, None], bent.view(batch, keypoints + 1, 3, side, side)], 2).flatten(1, 2)
        first = self.down[0](x)
        second = self.down[1](first)
        x = self.up[0](functional.interpolate(self.down[2](second), scale_factor=2.0))
        x = self.up[1](functional.interpolate(torch.cat([x, second], 1), scale_factor=2.0))
        x = torch.cat([x, first], 1)
        share = self.share(x).float().softmax(1)
        return (share[..., None] * candidates).sum(1), torch.sigmoid(self.seen(x))


class IntermediateGenerator(nn.Module):
    """Encodes the neutral picture, bends what was encoded and draws, told the expression."""

    def __init__(self, width: int = WIDTH, keypoints: int = KEYPOINTS) -> None:
        super().__init__()
        self.encode = nn.Sequential(_block(3, width), _block(width, 2 * width, 2), _block(2 * width, 4 * width, 2))
        self.told = nn.Sequential(nn.Linear(3 * keypoints + 9, 4 * width), nn.ReLU(), nn.Linear(4 * width, 4 * width))
        self.draw = nn.Sequential(
            ResidualBlock(4 * width),
            ResidualBlock(4 * width),
            nn.Upsample(scale_factor=2),
            _block(4 * width, 2 * width),
            nn.Upsample(scale_factor=2),
            _block(2 * width, width),
            nn.Conv2d(width, 3, 5, padding=2),
        )

    def forward(self, picture: Tensor, flow: Tensor, seen: Tensor, state: HeadState) -> Tensor:
        """Draw float32 (B, 3, S, S), 0..1."""
        bent = functional.grid_sample(self.encode(picture), flow, align_corners=False, padding_mode="border")
        told = self.told(torch.cat([state.expression.flatten(1), state.rotation.flatten(1)], 1))
        result: Tensor = torch.sigmoid(self.draw(bent * seen + told[:, :, None, None]))
        return result


class StyleMapping(nn.Module):
    """All parts together."""

    def __init__(self, width: int = WIDTH, keypoints: int = KEYPOINTS) -> None:
        super().__init__()
        self.keypoints = KeypointExtractor(width, keypoints)
        self.state = PoseExpression(width, keypoints)
        self.motion = DenseMotion(width, keypoints)
        self.generator = IntermediateGenerator(width, keypoints)

    def forward(self, neutral: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, HeadState]:
        """Draw ``neutral``'s identity in ``reference``'s style.

        Args:
            neutral: float32 (B, 3, S, S), 0..1.
            reference: The same; of any person.

        Returns:
            The Intermediate Style Pattern (B, 3, S, S), the keypoints of the reference's style on the neutral identity
            (B, K, 3), and the reference's state.
        """
        identity = self.keypoints(neutral)
        own, style = self.state(neutral), self.state(reference)
        source, target = placed(identity, own), placed(identity, style)
        small = functional.avg_pool2d(neutral, _MOTION_SCALE)
        flow, seen = self.motion(small, source, target)
        return self.generator(neutral, flow, seen, style), target, style


def placed(identity: Tensor, state: HeadState) -> Tensor:
    """Keypoints (B, K, 3) with a pose and an expression: C = c R + tau + eps (equations 5 and 6)."""
    # Written out, for a matrix product would lose places to mixed precision.
    turned = (identity[..., None] * state.rotation[:, None]).sum(-2)
    return turned + state.translation[:, None] + state.expression


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Rotation vectors (B, 3) in rad to (B, 3, 3), to multiply rows from the right."""
    x, y, z = vectors.float().unbind(-1)
    zero = torch.zeros_like(x)
    # Rodrigues' formula, transposed, for rows are multiplied from the right.
    cross = torch.stack([zero, z, -y, -z, zero, x, y, -x, zero], -1).view(-1, 3, 3)
    squared = (cross[:, :, :, None] * cross[:, None]).sum(2)
    angle = (x * x + y * y + z * z + 1e-12).sqrt().view(-1, 1, 1)
    one = torch.eye(3, device=vectors.device)
    return one + torch.sin(angle) / angle * cross + (1 - torch.cos(angle)) / angle**2 * squared


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    groups = nn.GroupNorm(max(outputs // 12, 1), outputs)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), groups, nn.ReLU())


def _grid(like: Tensor) -> Tensor:
    """Places (x, y) of the pixels of (..., h, w), float32 (h, w, 2)."""
    height, width = like.shape[-2:]
    y, x = (
        (torch.arange(side, device=like.device, dtype=torch.float32) + 0.5) * (2 / side) - 1 for side in (height, width)
    )
    return torch.stack([x[None].expand(height, -1), y[:, None].expand(-1, width)], -1)


def _blobs(keypoints: Tensor, grid: Tensor) -> Tensor:
    """A blob at each keypoint, (B, K, h, w)."""
    away = ((grid[None, None] - keypoints[:, :, None, None, :2]) ** 2).sum(-1)
    return torch.exp(-0.5 * away / _SPREAD)

"""SyncNet's layers under the names of the published checkpoint (Chung and Zisserman 2016, version 2)."""

from torch import nn


def build_syncnet(features: int) -> nn.Module:
    """The network with random weights; sub-modules ``netcnnaud``, ``netfcaud``, ``netcnnlip``, ``netfclip``.

    Args:
        features: Length of the embedding, 1024 in the published one.
    """
    network = nn.Module()
    sound: list[nn.Module] = [*_flat(1, 64), nn.MaxPool2d(1, 1), *_flat(64, 192), nn.MaxPool2d(3, (1, 2))]
    sound += [*_flat(192, 384), *_flat(384, 256), *_flat(256, 256), nn.MaxPool2d(3, 2)]
    sound += _flat(256, 512, kernel=(5, 4), padding=0)
    lips: list[nn.Module] = [*_deep(3, 96, (5, 7, 7), 2, 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2))]
    lips += [*_deep(96, 256, (1, 5, 5), 2, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))]
    lips += [layer for _ in range(3) for layer in _deep(256, 256, (1, 3, 3), 1, 1)]
    lips += [nn.MaxPool3d((1, 3, 3), (1, 2, 2)), *_deep(256, 512, (1, 6, 6), 1, 0)]
    network.add_module("netcnnaud", nn.Sequential(*sound))
    network.add_module("netfcaud", _head(features))
    network.add_module("netfclip", _head(features))
    network.add_module("netcnnlip", nn.Sequential(*lips))
    return network


def _flat(ins: int, outs: int, kernel: tuple[int, int] = (3, 3), padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(ins, outs, kernel, padding=padding), nn.BatchNorm2d(outs), nn.ReLU()]


def _deep(ins: int, outs: int, kernel: tuple[int, int, int], stride: int, padding: int) -> list[nn.Module]:
    convolution = nn.Conv3d(ins, outs, kernel, (1, stride, stride), (0, padding, padding))
    return [convolution, nn.BatchNorm3d(outs), nn.ReLU()]


def _head(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, features))

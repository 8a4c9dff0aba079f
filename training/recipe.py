"""What all training recipes share: seeds, the loop, progress, TensorBoard, checkpoints and exact resume.

A recipe is a function of (config, step) -> loss. Everything random in a step is drawn from a generator seeded by
(seed, step), and the data order is a function of the step, so a run resumed from a checkpoint continues as if it had
never stopped: the checkpoint need hold only weights, optimiser state, carried states and the step's number.
"""

import logging
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from engine.errors import ConfigError

log = logging.getLogger(__name__)


class RecipeConfig(BaseModel):
    """Options of every recipe; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(description="folder of prepared shards, as `mien train data` writes them")
    out: Path = Field(description="folder for checkpoints, TensorBoard events and the trained weights")
    seed: int = Field(0, ge=0)
    device: str = Field("cpu", description="cpu, cuda, cuda:1, ...")
    threads: int = Field(0, ge=0, description="CPU threads; 0 leaves torch's choice")
    steps: int = Field(2000, ge=1)
    batch: int = Field(64, ge=1, description="parallel streams")
    learning_rate: float = Field(1e-4, gt=0)
    warmup_steps: int = Field(100, ge=0)
    mixed_precision: bool = Field(False, description="bfloat16 autocast")
    checkpoint_every: int = Field(200, ge=1)
    average: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="decay of the running average of weights that is kept in the end; 0 keeps the last",
    )


def choose_device(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        ConfigError: It is no device, or this machine has none of the kind.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"The device {name!r} is not available here; use --device cpu.") from error
    return device


def load_weights(module: nn.Module, file: Path) -> None:
    """Fill a module with what another recipe trained.

    Raises:
        ConfigError: The file is missing, damaged or of another network.
    """
    try:
        module.load_state_dict(load_file(file))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no {file}: run the recipe that writes it first, or name another file.") from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ConfigError(f"{file} is damaged or of another network than {type(module).__name__}.") from error


def load_bank(file: Path, device: torch.device) -> Tensor:
    """The manifold's bank, float32 (N, 512), from ``manifold.npz``.

    Raises:
        ConfigError: The file is missing or damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return torch.from_numpy(arrays["bank"].astype(np.float32)).to(device)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no {file}: run `mien train manifold` first, or leave --manifold out.") from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file} is damaged: it must hold the manifold's bank.") from error


Losses: TypeAlias = Callable[["Trainer"], dict[str, Tensor]]
"""Gives named losses of a step; their ``total`` is minimised."""


class Trainer:
    """Runs a recipe's steps with checkpoints.

    Args:
        config: The recipe's options.
        modules: Name -> module; their parameters are trained, their states are checkpointed.
        rivals: Modules of an adversarial recipe that are trained against the others, by an optimiser of their own, each
            step after them.
    """

    def __init__(
        self,
        config: RecipeConfig,
        modules: Mapping[str, nn.Module],
        rivals: Mapping[str, nn.Module] | None = None,
    ) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self.config = config
        self.device = choose_device(config.device)
        self.modules = {name: module.to(self.device) for name, module in modules.items()}
        parameters = [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, betas=(0.9, 0.99))
        self.rivals = {name: module.to(self.device) for name, module in (rivals or {}).items()}
        against = [p for module in self.rivals.values() for p in module.parameters()]
        self._rival_optimizer = (
            torch.optim.Adam(against, lr=config.learning_rate, betas=(0.5, 0.99)) if against else None
        )
        self.carried: dict[str, Tensor] = {}
        self.step = 0
        self.averages = {name: _copy_state(module) for name, module in self.modules.items()}
        config.out.mkdir(parents=True, exist_ok=True)
        self._checkpoint = config.out / "checkpoint.pt"
        if self._checkpoint.exists():
            self._restore()

    def generator(self) -> np.random.Generator:
        """The random generator of the current step."""
        return np.random.default_rng((self.config.seed, self.step))

    def run(
        self,
        compute_losses: Losses,
        rival_losses: Losses | None = None,
        at_checkpoint: Callable[["Trainer", SummaryWriter], None] | None = None,
    ) -> list[float]:
        """Train until ``config.steps``.

        Args:
            compute_losses: Gives named losses; their ``total`` is minimised. It reads ``trainer.step`` and
                ``trainer.generator()`` alone for what varies, and may keep tensors in ``trainer.carried``.
            rival_losses: The same for ``rivals``; an empty answer leaves them as they are in that step.
            at_checkpoint: Called after each checkpoint, to show pictures and figures.

        Returns:
            The total loss of every step that was run.

        Raises:
            ConfigError: The loss is no longer finite; the last checkpoint is kept.
        """
        writer = SummaryWriter(str(self.config.out / "events"), purge_step=self.step)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
        )
        history: list[float] = []
        with Progress(*columns) as progress:
            task = progress.add_task(
                self.config.out.name, total=self.config.steps, completed=self.step, loss=float("nan")
            )
            while self.step < self.config.steps:
                history.append(self._train_step(compute_losses, rival_losses, writer))
                self.step += 1
                progress.update(task, completed=self.step, loss=history[-1])
                if self.step % self.config.checkpoint_every == 0 or self.step == self.config.steps:
                    self.save()
                    log.info("step %d loss %.5f", self.step, float(np.mean(history[-50:])))
                    if at_checkpoint:
                        at_checkpoint(self, writer)
        writer.close()
        return history

    def _train_step(self, compute_losses: Losses, rival_losses: Losses | None, writer: SummaryWriter) -> float:
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        rate = self.learning_rate()
        for module in self.rivals.values():
            module.requires_grad_(False)
        losses = self._descend(compute_losses, self.modules, self.optimizer, rate)
        self._average()
        if rival_losses and self._rival_optimizer:
            for module in self.rivals.values():
                module.requires_grad_(True)
            against = self._descend(rival_losses, self.rivals, self._rival_optimizer, rate)
            losses |= {f"rival {name}": loss for name, loss in against.items()}
        for name, loss in losses.items():
            writer.add_scalar(name, float(loss.detach()), self.step)
        writer.add_scalar("learning_rate", rate, self.step)
        return float(losses["total"].detach())

    def _descend(
        self, compute_losses: Losses, modules: Mapping[str, nn.Module], optimizer: torch.optim.Adam, rate: float
    ) -> dict[str, Tensor]:
        """One step of one optimiser."""
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.mixed_precision):
            losses = compute_losses(self)
        if not losses:
            return losses
        total = losses["total"]
        if not torch.isfinite(total):
            raise ConfigError(
                f"The loss is not finite at step {self.step}; lower --learning-rate and resume from {self.config.out}."
            )
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        for module in modules.values():
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        return losses

    @torch.no_grad()
    def _average(self) -> None:
        """Follow the weights. Voices that were never heard fare visibly better with the average than with the last."""
        # Early on the average follows closely, so that it never remembers the random start.
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        for name, module in self.modules.items():
            average = self.averages[name]
            for key, value in module.state_dict().items():
                if value.is_floating_point():
                    average[key].lerp_(value, 1 - decay)
                else:
                    average[key].copy_(value)

    def averaged(self, name: str) -> dict[str, Tensor]:
        """The averaged weights of a module: what a recipe keeps."""
        return {key: value.contiguous() for key, value in self.averages[name].items()}

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine from the configured rate to a twentieth of it."""
        config = self.config
        if self.step < config.warmup_steps:
            return config.learning_rate * (self.step + 1) / config.warmup_steps
        span = max(config.steps - config.warmup_steps, 1)
        cosine = 0.5 + 0.5 * float(np.cos(np.pi * (self.step - config.warmup_steps) / span))
        return config.learning_rate * (0.05 + 0.95 * cosine)

    def save(self) -> None:
        """Write the checkpoint; it replaces the last one only when it is complete."""
        state: dict[str, Any] = {
            "step": self.step,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "carried": self.carried,
            "averages": self.averages,
        }
        if self._rival_optimizer:
            state["rivals"] = {name: module.state_dict() for name, module in self.rivals.items()}
            state["rival_optimizer"] = self._rival_optimizer.state_dict()
        partial = self._checkpoint.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, self._checkpoint)

    def _restore(self) -> None:
        try:
            # Tensors and plain containers only: nothing in a checkpoint is executed.
            state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
            for name, module in self.modules.items():
                module.load_state_dict(state["modules"][name])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, module in self.rivals.items():
                module.load_state_dict(state["rivals"][name])
            if self._rival_optimizer:
                self._rival_optimizer.load_state_dict(state["rival_optimizer"])
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"{self._checkpoint} does not fit this recipe; give another --out or delete it."
            ) from error
        self.carried, self.step, self.averages = state["carried"], state["step"], state["averages"]


def _copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}

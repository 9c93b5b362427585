"""Minimises a function of two settings; configured by Hydra."""

import logging
import math

import hydra
from omegaconf import DictConfig

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    value = 1.0
    for epoch in range(cfg.train.epochs):
        distance = abs(math.log10(cfg.optimizer.lr) + 2) + abs(cfg.model.width - 64) / 64
        value = 0.1 * distance + (value - 0.1 * distance) * 0.5
        log.info("epoch %d: val_loss=%.6f", epoch, value)


if __name__ == "__main__":
    main()

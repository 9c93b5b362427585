"""Classifies points of two moons with a small network, in Lightning."""

import argparse

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(L.LightningModule):
    def __init__(self, lr: float, hidden: int):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.loss = nn.BCEWithLogitsLoss()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(self.net(x).squeeze(1), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", self.loss(self.net(x).squeeze(1), y), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def moons(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(count, generator=generator) * torch.pi
    label = (torch.rand(count, generator=generator) < 0.5).float()
    x = torch.where(label == 1, 1 - torch.cos(angle), torch.cos(angle))
    y = torch.where(label == 1, 0.5 - torch.sin(angle), torch.sin(angle))
    points = torch.stack([x, y], dim=1) + 0.15 * torch.randn(count, 2, generator=generator)
    return TensorDataset(points, label)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--max_epochs", type=int, default=10)
    args = parser.parse_args()
    L.seed_everything(0)
    trainer = L.Trainer(max_epochs=args.max_epochs, accelerator="cpu", log_every_n_steps=1)
    trainer.fit(
        Classifier(args.lr, args.hidden),
        DataLoader(moons(400, seed=0), batch_size=50, shuffle=True),
        DataLoader(moons(200, seed=1), batch_size=200),
    )

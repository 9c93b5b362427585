"""Teaches a tiny BERT with random weights to tell which of two tokens is more frequent, with the Trainer of Transformers."""

import argparse

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments


class Tokens(Dataset):
    def __init__(self, count: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(0, 8, (count, 12), generator=generator)
        self.labels = ((self.ids == 3).sum(1) > (self.ids == 5).sum(1)).long()

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--hidden_size", type=int, default=32)
    parser.add_argument("--num_train_epochs", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8,
        hidden_size=args.hidden_size,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * args.hidden_size,
        max_position_embeddings=16,
    )
    trainer = Trainer(
        model=BertForSequenceClassification(config),
        args=TrainingArguments(
            output_dir="out",
            learning_rate=args.learning_rate,
            num_train_epochs=args.num_train_epochs,
            per_device_train_batch_size=32,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=Tokens(512, seed=0),
        eval_dataset=Tokens(256, seed=1),
    )
    trainer.train()

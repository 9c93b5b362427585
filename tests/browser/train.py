"""A training that takes a moment, runs out of memory in a corner of its space, and fails on a machine that is broken."""

import argparse
import json
import math
import os
import random
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--width", type=int, required=True)
parser.add_argument("--optimizer", required=True)
parser.add_argument("--momentum", type=float, default=0.9)
parser.add_argument("--batch", type=int)
arguments = parser.parse_args()

SHIFT = 0.0

if os.environ.get("BROKEN_MACHINE"):
    sys.exit("RuntimeError: no usable device found")
if arguments.width > 128 and arguments.lr > 0.004:
    print(f"allocating for width {arguments.width}", flush=True)
    sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")

chance = random.Random(f"{arguments.lr} {arguments.width}")
target = 0.2 + 0.12 * (math.log10(arguments.lr) + 2) ** 2 + 0.1 * abs(arguments.width - 96) / 96 + (0.08 if arguments.optimizer == "sgd" else 0) + SHIFT
for epoch in range(1, 13):
    loss = target + 1.2 * math.exp(-epoch / 3) + chance.gauss(0, 0.004)
    print(json.dumps({"epoch": epoch, "val_loss": loss, "pedestrians": 1 - loss / 8, "memory_gb": arguments.width / 16}), flush=True)
    time.sleep(float(os.environ.get("TRAIN_PAUSE", "0.02")))

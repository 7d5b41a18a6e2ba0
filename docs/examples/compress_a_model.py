"""Attach Focus to a stock picture model with its stock processor: python compress_a_model.py CHECKPOINT PICTURE."""

import sys

from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

import focal

model = AutoModelForImageTextToText.from_pretrained(sys.argv[1]).eval()
processor = AutoProcessor.from_pretrained(sys.argv[1])
inputs = processor(images=Image.open(sys.argv[2]), text="<image>\nWhat is this?", return_tensors="pt")
with focal.compress(model, "focus") as run:
    print(processor.batch_decode(model.generate(**inputs, max_new_tokens=8), skip_special_tokens=True)[0])
run.trace().show().save("overlay.html")
results = focal.simulate(run.trace(), ["dense", "focus"])
print(results.frame(), results.speedup("focus", over="dense"))
results.plot("speedup.png")

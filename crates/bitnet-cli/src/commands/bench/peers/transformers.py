"""Speeds of Hugging Face transformers, for `bitnet bench`: reads and generates as much as it does.

Arguments: directory, tokens to read, tokens to generate, threads.
"""

import json
import sys
import time

import torch
import transformers

directory, prompt, generated, threads = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(threads)
model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
model.eval()
ids = (torch.arange(prompt) * 7919 % model.config.vocab_size)[None]


def measure(count):
    """Seconds of reading, and of generating `count` tokens after it."""
    begun = time.perf_counter()
    out = model(ids, use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1:].argmax(-1)
    read = time.perf_counter()
    for _ in range(count):
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
        token = out.logits[:, -1:].argmax(-1)
    return read - begun, time.perf_counter() - read


with torch.inference_mode():
    measure(1)
    read, wrote = measure(generated)
print(json.dumps({
    "prefill_tokens_per_second": prompt / read,
    "decode_tokens_per_second": generated / wrote,
    "version": f"transformers {transformers.__version__}, torch {torch.__version__}",
    "model": f"{type(model).__name__} {model.dtype}",
}))

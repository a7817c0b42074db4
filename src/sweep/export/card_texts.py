"""The text of a model card, and the code by which each kind of adapter is used."""

from __future__ import annotations

CARD = """\
---
{front}
---

# LoRA adapter from the study {study}

{warnings}{what}{by}. Base: {base}{licence}; data: {data}.

| dev {metric} | dev {other} | seed | best step | LoRA parameters | head parameters |
|---|---|---|---|---|---|
| {score:.4f} | {beside:.4f} | {seed} | {best_step} | {lora_params:,} | {head_params:,} |

The dev score is that of the best evaluation of the best config of a search on the same dev
{rows}: it flatters. {advice}
{notes}
{lists}{forms}
| setting | value |
|---|---|
{settings}

## Use

{use}
or, without code: `python -m sweep predict THIS_FOLDER pairs.csv`.

Trained with {versions}. `{experiment}` trains it again:
`python -m sweep +experiment=THIS_FOLDER/{experiment}`.
"""


#: What all adapters with a head share; `score` is what follows.
LOADING = """\
```python
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
{imports}{names}
tokenizer = AutoTokenizer.from_pretrained("tokenizer")
base = AutoModelForSequenceClassification.from_pretrained(
    {place},
    {outputs},
    pad_token_id=tokenizer.pad_token_id{small},
)
model = PeftModel.from_pretrained(base, "adapter").eval()


@torch.inference_mode()
{score}```
"""
#: How many outputs the head has.
ONE_NUMBER = """\
num_labels=1,
    problem_type="regression\""""
NAMED = """\
id2label=dict(enumerate(classes)),
    label2id={name: place for place, name in enumerate(classes)}"""
PAIRS = """\
def score(pairs):
    first, second = map(list, zip(*pairs))
    # Cut as in training: longer pairs would score otherwise, or not at all.
    batch = tokenizer(
        first, second, truncation=True, max_length={max_length}, padding=True, return_tensors="pt"
    )
    # Trained on labels scaled to [0, 1].
    return ({low:g} + {width:g} * model(**batch).logits.squeeze(-1)).tolist()


print(score([("A man is eating.", "Someone eats."), ("A man is eating.", "It rains.")]))
"""
SINGLE = """\
def score(texts):
    # Cut as in training: longer texts would score otherwise, or not at all.
    batch = tokenizer(
        texts, truncation=True, max_length={max_length}, padding=True, return_tensors="pt"
    )
    # Trained on labels scaled to [0, 1].
    return ({low:g} + {width:g} * model(**batch).logits.squeeze(-1)).tolist()


print(score(["A man is eating."]))
"""
CLASSES = """\
def classify(rows):
    texts = [list(side) for side in zip(*rows)]
    # Cut as in training: longer rows would be answered otherwise, or not at all.
    batch = tokenizer(
        *texts, truncation=True, max_length={max_length}, padding=True, return_tensors="pt"
    )
    return [classes[int(place)] for place in model(**batch).logits.argmax(-1)]


print(classify([{example}]))
"""
BI = """\
```python
from sentence_transformers import SentenceTransformer
{imports}
# The adapter on its base. Each sentence is read alone, cut, prefixed and pooled as in training.
model = SentenceTransformer("adapter"{model_kwargs})


def score(pairs):
    first, second = map(list, zip(*pairs))
    cosine = model.similarity_pairwise(model.encode(first), model.encode(second))
    # A cosine of 0 was trained to mean the lowest label, one of 1 the highest.
    return ({low:g} + {width:g} * cosine).tolist()


print(score([("A man is eating.", "Someone eats."), ("A man is eating.", "It rains.")]))
```
"""

"""What one would write in twenty lines: FastAPI and the pipeline of transformers, fp32, no batching, on the same network."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast, TextClassificationPipeline

from otklik.training.export import restore
from otklik.training.network import Objective

current = restore(Path(sys.argv[1]), Objective(0, 0, 0), 0.0)
current.base.encoder.config.num_labels = len(current.labels.multi)
current.base.encoder.config._attn_implementation = "sdpa"
model = BertForSequenceClassification(current.base.encoder.config).eval()
model.bert.load_state_dict(current.base.encoder.state_dict(), strict=False)
marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=current.base.tokenizer, **marks)
pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer, device=-1, function_to_apply="sigmoid", top_k=None)
app = FastAPI()


class Body(BaseModel):
    items: list[dict[str, str]]


@app.post("/v1/classify")
def classify(body: Body) -> list[object]:
    return [pipeline(item["text"], truncation=True, max_length=512) for item in body.items]


@app.get("/health/ready")
def ready() -> dict[str, str]:
    return {"status": "ready", "reason": ""}


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)

"""Programs that know of no sidecar: `python unaware.py openai|requests`. Four calls each."""

import os
import sys
from typing import Any

import openai
import requests

CALL: Any = {"model": "m", "messages": [{"role": "user", "content": "tell"}]}

if sys.argv[1] == "openai":
    client = openai.OpenAI(api_key="test-key", max_retries=0, timeout=20.0)
    for _ in range(4):
        made = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "tell"}]
        )
        print(made.choices[0].message.content)
else:
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    with requests.Session() as session:
        for _ in range(4):
            reply = session.post(base + "/chat/completions", json=CALL, timeout=20)
            reply.raise_for_status()
            print(reply.json()["choices"][0]["message"]["content"])

"""Embeddings that travel together: several requests become one, and its reply is split again.

The format is OpenAI's (openai-python 3.57, `types/embedding_create_params.py` and
`types/create_embedding_response.py`), which Mistral, vLLM, llama.cpp and others share.
"""

from sidecar.llm.batch.asked import Asked, Empty, read
from sidecar.llm.batch.merge import merge
from sidecar.llm.batch.share import shares
from sidecar.llm.batch.split import Answer, Part, split

__all__ = ["Answer", "Asked", "Empty", "Part", "merge", "read", "shares", "split"]

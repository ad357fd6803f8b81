"""A llama of half a megabyte with random weights, as a GGUF file: a real model in all but sense.

Greedy decoding of fixed weights gives the same text for the same prompt every time, so that a
reply through the sidecar can be compared with a direct one, byte for byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import gguf
import numpy as np

CONTEXT: Final = 4096
_WIDTH: Final = 64
_LAYERS: Final = 2
_HEADS: Final = 4
_HIDDEN: Final = 128
_SPECIAL: Final = ("<unk>", "<s>", "</s>")
_CHAT: Final = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def write(path: Path) -> None:
    """Write the model to *path*."""
    writer = gguf.GGUFWriter(path, "llama")
    words = _vocabulary(writer)
    _architecture(writer, words)
    _weights(writer, words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary(writer: gguf.GGUFWriter) -> int:
    """Declare a sentencepiece-like tokenizer: all bytes, some short words. Returns its size."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [f"▁{a}{b}" for a in letters for b in "aeiou"] + list("▁ .,!?:;'0123456789" + letters)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*_SPECIAL, *bytes_, *words]
    kind = gguf.TokenType
    kinds = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL]
    kinds += [kind.BYTE] * len(bytes_) + [kind.NORMAL] * len(words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * (len(tokens) - len(words)) + [-1.0] * len(words))
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_CHAT)
    return len(tokens)


def _architecture(writer: gguf.GGUFWriter, words: int) -> None:
    writer.add_vocab_size(words)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_pooling_type(gguf.PoolingType.MEAN)  # One embedding for a text, not for each token.
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _weights(writer: gguf.GGUFWriter, words: int) -> None:
    random = np.random.default_rng(14)

    def matrix(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.3, shape).astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(_WIDTH, np.float32))

    matrix("token_embd.weight", words, _WIDTH)
    # Greedy decoding picks words alone: half a character would be told otherwise in a stream than
    # in a whole reply, and an end-of-text token would end it at a length of its own.
    output = random.normal(0, 0.3, (words, _WIDTH)).astype(np.float32)
    output[: len(_SPECIAL) + 256] = 0
    writer.add_tensor("output.weight", output)
    ones("output_norm.weight")
    for layer in (f"blk.{n}" for n in range(_LAYERS)):
        ones(f"{layer}.attn_norm.weight")
        ones(f"{layer}.ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{layer}.{name}.weight", _WIDTH, _WIDTH)
        matrix(f"{layer}.ffn_gate.weight", _HIDDEN, _WIDTH)
        matrix(f"{layer}.ffn_up.weight", _HIDDEN, _WIDTH)
        matrix(f"{layer}.ffn_down.weight", _WIDTH, _HIDDEN)

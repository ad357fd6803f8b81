import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.models import lists

VLLM = b"""{"object":"list","data":[
 {"id":"glm-4.6","object":"model","owned_by":"vllm","root":"zai/GLM","max_model_len":131072,
  "permission":[{"id":"modelperm-1","allow_view":true}]},
 {"id":"sql-lora","object":"model","parent":"glm-4.6"}]}"""
GEMINI = b"""{"models":[{"name":"models/gemini-2.5-pro","version":"2.5",
 "supportedGenerationMethods":["generateContent"]}],"nextPageToken":"x"}"""
LLAMA = b'{"models":[{"name":"a.gguf","model":"a.gguf"}],"object":"list","data":[{"id":"a.gguf"}]}'


@pytest.mark.parametrize(
    ("body", "model", "listed"),
    [
        (VLLM, "glm-4.6", True),
        (VLLM, "sql-lora", True),
        (VLLM, "glm-4", False),
        (VLLM, "modelperm-1", False),
        (GEMINI, "gemini-2.5-pro", True),
        (GEMINI, "models/gemini-2.5-pro", True),
        (GEMINI, "gemini-2.5", False),
        (LLAMA, "a.gguf", True),
        (b'{"data":[]}', "a", False),
        (b'{"data":null,"models":null}', "a", False),
        (b'{"data":[{}]}', "a", False),
        (b'{"data":[{"id":7}]}', "7", False),
        (b'{"data":[{"id":"a"}', "a", False),
        (b'["a"]', "a", False),
        (b"", "a", False),
        (b"\xff", "a", False),
        (b'{"data":' + b"[" * 100_000, "a", False),
    ],
)
def test_what_is_listed(body: bytes, model: str, listed: bool) -> None:
    assert lists(body, model) == listed


@given(st.binary(), st.text(min_size=1))
def test_any_answer_is_read_without_an_error(body: bytes, model: str) -> None:
    assert not lists(body, model)

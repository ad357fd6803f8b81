"""Which field bounds the answers of chat, by the servers of an upstream."""

import pytest

from sidecar.config.model.shape import MaxTokens, Shape


@pytest.mark.parametrize(
    ("urls", "field"),
    [
        (["https://api.openai.com"], "max_completion_tokens"),
        (["https://eu.api.openai.com/v1"], "max_completion_tokens"),
        (["https://{resource}.openai.azure.com"], "max_completion_tokens"),
        (
            ["http://glm-0:8000", "https://x.cognitiveservices.azure.com:443"],
            "max_completion_tokens",
        ),
        (["http://glm-0:8000"], "max_tokens"),
        (["https://api.openai.com.example.org"], "max_tokens"),
        (["https://example.org/api.openai.com"], "max_tokens"),
        ([], "max_tokens"),
    ],
)
def test_the_newer_name_is_for_servers_that_need_it(urls: list[str], field: str) -> None:
    assert Shape(max_tokens=MaxTokens(cap=1)).settings(urls).chat_field == field


def test_a_field_that_is_given_counts() -> None:
    shape = Shape(max_tokens=MaxTokens(cap=1, chat_field="max_completion_tokens"))
    assert shape.settings(["http://glm-0:8000"]).chat_field == "max_completion_tokens"

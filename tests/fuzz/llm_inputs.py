"""Bodies, metrics pages and header values that are nearly what servers and SDKs write."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

_KEYS: Final = (
    *("model", "stream", "messages", "input", "system", "instructions", "contents", "prompt"),
    *("role", "content", "systemInstruction", "a", "", "mod\u0065l", "\ud83d\ude00", "model "),
)
_SCALARS: Final = (
    *(None, True, False, 0, 1, -1, 1.5, 1e308, 10**30, "m", "gpt-4.1", "", "user", "system"),
    *("\u0000", "\u2028", "é", "\\", '"', "a" * 300),
)
_RAW: Final = (
    *("NaN", "-Infinity", '"\\ud800"', '"\\ud83d\\ude00"', "1e999", "-0", "01", "1.", "'a'"),
    *("[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100, "tru", '"\n"', '"\\x"', "0" * 50),
)
JSON_WORDS: Final = [
    *(b'"model":', b'"model": "x",', b'"stream": true', b"{", b"}", b"[", b"]", b",", b":", b'"'),
    *(b"\\u0000", b"\\ud800", b"\\", b"null", b"true", b"1e5", b"\xef\xbb\xbf", b"\xff", b" "),
    *(b'{"role": "user"}', b"/*", b"\xed\xa0\x80", b"\t", b"\r\n"),
]
METRIC_WORDS: Final = [
    *(b"vllm:num_requests_waiting", b"\n", b'{model="a"}', b" 1.5", b" NaN", b" +Inf", b"# HELP x"),
    *(
        b'{a="\\"}"}',
        b"sglang:token_usage",
        b'priority="',
        b" 9e99",
        b" -1",
        b"{",
        b"}",
        b'"',
        b"\\",
    ),
    *(b"TEXT ", b"JSON ", b"named_metrics.kv_cache_usage_perc=", b"cpu_utilization", b":", b"="),
]
_SERIES: Final = (
    *("vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc"),
    *("sglang:num_queue_reqs", "tgi_queue_size", "llamacpp:kv_cache_usage_ratio", "x", "tgi_"),
    *("DCGM_FI_DEV_GPU_UTIL", "sglang:token_usage", "vllm:gpu_cache_usage_perc"),
)
_LABELS: Final = (
    "",
    "{}",
    '{a="b"}',
    '{model_name="a b",priority="0"}',
    '{a="}"}',
    '{a="\\""}',
    "{a",
)
_VALUES: Final = (
    "0",
    "1",
    "2.5",
    "1e3",
    "NaN",
    "Inf",
    "-1",
    "1e400",
    "1 1700000000",
    "",
    "x",
    "0x1",
)
_TRACES: Final = (
    b"00-" + b"0af7651916cd43dd8448eb211c80319c" + b"-b7ad6b7169203331-01",
    b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00",
    b"01-" + b"a" * 32 + b"-" + b"b" * 16 + b"-ff-more",
    b"a=b,c@d=e, f/g=h\t,",
    b",".join(b"k%d=v" % number for number in range(33)),
    b"\n".join((b"a=b", b"c=d", b"")),
    b"a" * 256 + b"=" + b"v" * 256,
)
UNITS: Final = (
    "5s",
    "250ms",
    "1.5h",
    "10%",
    "1000%",
    "1001%",
    "64KiB",
    "1.25MB",
    "999999999.999us",
)
UNIT_WORDS: Final = [
    b"us",
    b"ms",
    b"s",
    b"h",
    b"%",
    b"KiB",
    b"GB",
    b".",
    b"0",
    b"-",
    b"e",
    b"\n",
    b" ",
]


def body(random: Random) -> bytes:
    """A request's body."""
    text = _value(random, random.randint(0, 3))
    if random.random() < 0.8:
        text = _object(random, 2)
    encoding = random.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"))
    return text.encode(encoding, "surrogatepass")


def _object(random: Random, depth: int) -> str:
    members = [
        f"{json.dumps(random.choice(_KEYS))}:{_value(random, depth)}"
        for _ in range(random.choice((0, 1, 2, 3, 5)))
    ]
    if random.random() < 0.6:
        members.insert(random.randint(0, len(members)), '"model": "m"')
    return "{" + random.choice((",", ", ", " ,\n")).join(members) + "}"


def _value(random: Random, depth: int) -> str:
    kind = random.randrange(6)
    if kind == 0 and depth:
        return _object(random, depth - 1)
    if kind == 1 and depth:
        items = [_value(random, depth - 1) for _ in range(random.randint(0, 3))]
        return "[" + ",".join(items) + "]"
    if kind == 2:
        return random.choice(_RAW)
    scalar: Any = random.choice(_SCALARS)
    return json.dumps(scalar, ensure_ascii=random.random() < 0.5)


def metrics(random: Random) -> bytes:
    """A page of metrics, or a header with a load report."""
    if random.random() < 0.4:
        kind = random.choice(("TEXT ", "JSON ", "BIN ", ""))
        said = random.choice(("cpu_utilization", "named_metrics.kv_cache_usage_perc", "x"))
        text = f"{said}={random.choice(_VALUES)}, application_utilization:0.3"
        return (kind + random.choice((text, _object(random, 2), text))).encode("utf-8", "replace")
    lines = [
        f"{random.choice(_SERIES)}{random.choice(_LABELS)} {random.choice(_VALUES)}"
        for _ in range(random.choice((0, 1, 3, 8)))
    ]
    return random.choice(("\n", "\r\n", "\n\n")).join(lines).encode()


def trace(random: Random) -> bytes:
    """A traceparent, or the values of tracestate, one a line."""
    return random.choice(_TRACES)

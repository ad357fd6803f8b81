from prometheus_client.parser import text_string_to_metric_families

from sidecar.simulate.counters import UNLIMITED, Counters, render_metrics


def test_load_is_reported_with_the_model_as_label() -> None:
    counters = Counters(running=UNLIMITED // 4, waiting=3, tokens=7, prompt_tokens=5)
    families = list(text_string_to_metric_families(render_metrics(counters, 'a"b\\c', 0)))
    assert {sample.labels["model_name"] for f in families for sample in f.samples} == {'a"b\\c'}
    assert {f.name.removeprefix("vllm:"): f.samples[0].value for f in families} == {
        "num_requests_running": UNLIMITED // 4,
        "num_requests_waiting": 3,
        "gpu_cache_usage_perc": 0.25,
        "kv_cache_usage_perc": 0.25,
        "prompt_tokens": 5,
        "generation_tokens": 7,
    }


def test_a_snapshot_is_plain_and_sorted() -> None:
    counters = Counters(requests=2)
    counters.failures.update({"reset": 1, "500": 2})
    shot = counters.snapshot()
    counters.failures["reset"] += 1
    assert list(shot["failures"].items()) == [("500", 2), ("reset", 1)]
    assert shot["requests"] == 2

from sidecar.policy.memo import Memo


def test_it_remembers_a_thousand_keys_and_then_begins_anew() -> None:
    memo: Memo[bytes, int] = Memo()
    for number in range(1024):
        assert memo.keep(b"%d" % number, number) == number
    assert memo == {b"%d" % number: number for number in range(1024)}
    assert memo.keep(b"one more", 1) == 1
    assert memo == {b"one more": 1}


def test_long_keys_are_not_remembered() -> None:
    memo: Memo[str | bytes | tuple[bytes, ...], int] = Memo()
    assert memo.keep("x" * 513, 1) == 1
    assert memo.keep((b"POST", b"/" * 509), 2) == 2
    assert not memo
    memo.keep("x" * 512, 3)
    memo.keep((b"POST", b"/" * 508), 4)
    assert len(memo) == 2

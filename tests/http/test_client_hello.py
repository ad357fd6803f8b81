"""The ClientHello that real clients send, whole, split and damaged."""

import contextlib
import ssl
from collections.abc import Sequence

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.client_hello import MAX_HELLO, ClientHello, Unread, read_hello


def real_hello(
    name: str | None = "api.openai.com", alpn: Sequence[str] = (), tickets: int = 0
) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.check_hostname = name is not None
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def in_records(hello: bytes, size: int) -> bytes:
    """The same handshake message in records of *size* bytes."""
    message = hello[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)


def built(extensions: bytes, ciphers: bytes = b"\x13\x01") -> bytes:
    """A ClientHello with exactly these."""
    body = b"\x03\x03" + bytes(32) + b"\x00" + len(ciphers).to_bytes(2) + ciphers + b"\x01\x00"
    body += len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2) + len(content).to_bytes(2) + content


def named(*names: tuple[int, bytes]) -> bytes:
    entries = b"".join(bytes([kind]) + len(name).to_bytes(2) + name for kind, name in names)
    return extension(0, len(entries).to_bytes(2) + entries)


def hello_of(data: bytes) -> ClientHello:
    hello = read_hello(data)
    assert isinstance(hello, ClientHello), hello
    return hello


def test_a_real_one() -> None:
    hello = hello_of(real_hello("API.OpenAI.com", ["h2", "http/1.1"]))
    assert hello[:2] == ("api.openai.com", (b"h2", b"http/1.1"))


def test_without_a_name_and_protocols() -> None:
    assert hello_of(real_hello(None))[:2] == (None, ())


def test_an_address_is_not_named() -> None:
    assert hello_of(real_hello("127.0.0.1")).server_name is None  # RFC 6066, section 3


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100, 16384])
def test_in_several_records(size: int) -> None:
    hello = built(b"")
    assert len(hello) < 64
    assert read_hello(in_records(hello, size)) == read_hello(hello) != Unread.OTHER
    hello = real_hello(alpn=["http/1.1"])
    assert read_hello(in_records(hello, max(16, size))) == read_hello(hello)


def test_a_hello_in_very_many_records_is_not_read() -> None:
    hello = in_records(real_hello(), 1)
    assert hello.count(b"\x16\x03\x01") > 64
    assert read_hello(hello) is Unread.OTHER
    assert read_hello(hello[: 63 * 6]) is Unread.MORE


@pytest.mark.parametrize("size", [16, 100, 16384])
def test_every_beginning_needs_more(size: int) -> None:
    hello = in_records(real_hello(), size)
    for end in range(len(hello)):
        assert read_hello(hello[:end]) is Unread.MORE
    assert isinstance(read_hello(hello + b"\x17\x03\x03"), ClientHello)


def test_one_stack_has_one_fingerprint() -> None:
    first, second = hello_of(real_hello()), hello_of(real_hello("other.example"))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != hello_of(real_hello(alpn=["http/1.1"])).fingerprint


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_resumes_a_session_has_the_same_fingerprint(version: ssl.TLSVersion) -> None:
    ca = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("llm.test").configure_cert(serving)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(asking)
    asking.maximum_version = version
    first, session = talks(asking, serving)
    second, _ = talks(asking, serving, session)
    assert len(first) != len(second)
    assert hello_of(first).fingerprint == hello_of(second).fingerprint


def talks(
    asking: ssl.SSLContext, serving: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None]:
    """A client's hello, and the session that it has in the end; it begins with *session*."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(down, up, server_hostname="llm.test", session=session)
    server = serving.wrap_bio(up, down, server_side=True)
    hello = b""
    for _ in range(4):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            if not hello:
                hello = up.read()
                up.write(hello)
    client_says = client.write(b"x")
    assert (client_says, server.read(1)) == (1, b"x")
    server.write(b"y")
    assert client.read(1) == b"y"  # behind the tickets
    assert client.session_reused is (session is not None)
    return hello, client.session


def test_what_comes_and_goes_tells_nothing() -> None:
    one = extension(5, b"a")
    resuming = b"".join(extension(kind, b"x") for kind in (21, 35, 41, 42, 44, 45))
    assert hello_of(built(one)).fingerprint == hello_of(built(one + resuming)).fingerprint


def test_the_order_of_extensions_and_reserved_values_tell_nothing() -> None:
    one, two, grease = extension(5, b"a"), extension(6, b"b"), extension(0x1A1A, b"")
    plain = hello_of(built(one + two))
    assert plain == hello_of(built(grease + two + one, b"\x3a\x3a\x13\x01"))
    assert plain != hello_of(built(one))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([(0, b"a.example")], "a.example"),
        ([(0, b"a.example.")], "a.example"),
        ([(7, b"x"), (0, b"a.example")], "a.example"),
        ([(0, b"a b")], None),
        ([(0, b"a\x00.example")], None),
        ([(0, b"")], None),
        ([(0, b"x" * 254)], None),
        ([(7, b"x")], None),
        ([], None),
    ],
)
def test_names(names: list[tuple[int, bytes]], found: str | None) -> None:
    assert hello_of(built(named(*names))).server_name == found


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02",  # SSL 2
        b"\x16\x03\x05",
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\x40\x01",  # one that is too long
        b"\x16\x03\x01\x00\x01\x02",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\x01\x00\x00",  # longer than is looked at
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # nothing in it
        built(extension(5, b"") * 2),
        built(b"\x00\x00\x00\xff"),
        built(extension(0, b"\x00\x09\x00")),
        built(extension(16, b"\x00\x02\x09a")),
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert read_hello(data) is Unread.OTHER


def test_it_ends_somewhere() -> None:
    endless = b"\x16\x03\x01\x00\x01\x01" + b"\x16\x03\x01\x00\x01\x00" * MAX_HELLO
    assert read_hello(endless[: MAX_HELLO + 1]) is not Unread.MORE
    padded = built(extension(21, bytes(MAX_HELLO - 100)))
    assert read_hello(padded[:MAX_HELLO]) is not Unread.MORE


@given(st.binary(max_size=200))
def test_garbage_is_told_and_never_raised(garbage: bytes) -> None:
    assert isinstance(read_hello(b"\x16\x03\x01" + garbage), ClientHello | Unread)
    assert isinstance(read_hello(garbage), ClientHello | Unread)


HELLO = real_hello(alpn=["h2", "http/1.1"])


@given(st.data())
def test_damage_is_told_and_never_raised(data: st.DataObject) -> None:
    damaged = bytearray(HELLO)
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(HELLO) - 1), st.integers(0, 255)), max_size=8)
    ):
        damaged[at] = byte
    end = data.draw(st.integers(0, len(HELLO)))
    for given_bytes in (bytes(damaged), bytes(damaged[:end]), bytes(damaged[end:])):
        assert isinstance(read_hello(given_bytes), ClientHello | Unread)


@given(st.data())
def test_what_is_known_stays_known(data: st.DataObject) -> None:
    """Reading again with more bytes never changes an answer."""
    damaged = bytearray(HELLO)
    damaged[data.draw(st.integers(0, len(HELLO) - 1))] = data.draw(st.integers(0, 255))
    last: ClientHello | Unread = Unread.MORE
    for end in sorted(data.draw(st.lists(st.integers(0, len(HELLO)), max_size=12))):
        seen = read_hello(bytes(damaged[:end]))
        assert last in (Unread.MORE, seen)
        last = seen

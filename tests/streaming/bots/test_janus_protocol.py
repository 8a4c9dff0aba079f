"""Transactions, acks, events and errors of the Janus API, without a server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.bots.bot_errors import JoinUnavailable
from streaming.bots.janus_people import People
from streaming.bots.janus_protocol import JanusProtocol, News, Refusal, Reply

PLUGIN = "janus.plugin.videoroom"


def plugin(data: dict[str, Any], transaction: str | None = None, sdp: str | None = None) -> str:
    """As Janus words a plugin's event."""
    message: dict[str, Any] = {"janus": "event", "session_id": 1, "sender": 7}
    message["plugindata"] = {"plugin": PLUGIN, "data": data}
    message |= {"transaction": transaction} if transaction else {}
    message |= {"jsep": {"type": "answer", "sdp": sdp}} if sdp else {}
    return json.dumps(message)


def test_a_session_from_create_to_a_plugins_answer() -> None:
    janus = JanusProtocol(token="t", secret="s")
    first, text = janus.request("create")
    assert json.loads(text) == {"janus": "create", "transaction": first, "token": "t", "apisecret": "s"}
    created = janus.receive(json.dumps({"janus": "success", "transaction": first, "data": {"id": 5}}))
    assert created == Reply(first, {"id": 5}, None) and janus.session == 5

    second, text = janus.request("message", handle=7, body={"request": "publish"}, jsep={"type": "offer", "sdp": "o"})
    sent = json.loads(text)
    assert (sent["session_id"], sent["handle_id"], sent["body"], sent["jsep"]["sdp"]) == (
        5,
        7,
        {"request": "publish"},
        "o",
    )
    assert first != second
    assert janus.receive(json.dumps({"janus": "ack", "session_id": 5, "transaction": second})) is None
    done = janus.receive(plugin({"videoroom": "event", "configured": "ok"}, second, "v=0"))
    assert done == Reply(second, {"videoroom": "event", "configured": "ok"}, "v=0")
    assert janus.pending == 0
    assert isinstance(janus.receive(plugin({"late": 1}, second)), News), "done once, it is nobody's reply"


@pytest.mark.parametrize("kind", ["keepalive", "trickle"])
def test_an_ack_is_all_that_some_requests_get(kind: str) -> None:
    janus = JanusProtocol()
    transaction, _ = janus.request(kind)
    assert janus.receive(json.dumps({"janus": "ack", "transaction": transaction})) == Reply(transaction, {}, None)


def test_refusals_of_the_server_and_of_the_plugin() -> None:
    janus = JanusProtocol()
    first, _ = janus.request("attach")
    error = {"janus": "error", "transaction": first, "error": {"code": 460, "reason": "No such\nplugin"}}
    assert janus.receive(json.dumps(error)) == Refusal(first, 460, "No such plugin")
    second, _ = janus.request("message", handle=7, body={})
    data = {"videoroom": "event", "error_code": 426, "error": "No such room (9)"}
    assert janus.receive(plugin(data, second)) == Refusal(second, 426, "No such room (9)")
    third, _ = janus.request("attach")
    assert janus.receive(json.dumps({"janus": "error", "transaction": third})) == Refusal(third, 0, "no reason given")
    assert janus.pending == 0


def test_news_come_without_being_asked_for() -> None:
    janus = JanusProtocol()
    heard = janus.receive(plugin({"videoroom": "event", "leaving": 3}))
    assert heard == News("event", 7, {"videoroom": "event", "leaving": 3}, None)
    hangup = janus.receive('{"janus": "hangup", "session_id": 1, "sender": 7, "reason": "ICE failed"}')
    assert isinstance(hangup, News) and (hangup.kind, hangup.data["reason"]) == ("hangup", "ICE failed")
    timeout = janus.receive('{"janus": "timeout", "session_id": 1}')
    assert isinstance(timeout, News) and timeout.handle is None
    assert janus.receive('{"janus": "something-new", "sender": 7}') is None


@pytest.mark.parametrize("text", ["", "[]", "1", "{}", '{"janus": 3}', '{"janus": "event", "sender": "x"}', b"\xff"])
def test_what_is_no_message_is_told(text: str | bytes) -> None:
    with pytest.raises(JoinUnavailable, match="not the Janus API"):
        JanusProtocol().receive(text)


def test_requests_that_nobody_answers_are_bounded() -> None:
    janus = JanusProtocol()
    transactions = [janus.request("keepalive")[0] for _ in range(64)]
    with pytest.raises(JoinUnavailable, match="unanswered"):
        janus.request("keepalive")
    janus.forget(transactions[0])
    janus.request("keepalive")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
KEYS = st.sampled_from(["janus", "transaction", "sender", "data", "plugindata", "jsep", "error"])
WORDS = st.sampled_from(["success", "event", "ack", "error", "timeout", "mien-1"])


@given(st.dictionaries(KEYS, WORDS | ANYTHING))
def test_no_message_breaks_it(message: dict[str, Any]) -> None:
    janus = JanusProtocol()
    janus.request("create")
    try:
        found = janus.receive(json.dumps(message))
    except JoinUnavailable:
        return
    if isinstance(found, News):
        People().hear(found.data)


PUBLISHERS = st.lists(
    st.dictionaries(
        st.sampled_from(["id", "display", "streams"]),
        st.integers() | st.text(max_size=3) | st.lists(st.dictionaries(st.sampled_from(["type", "mid"]), ANYTHING)),
    )
    | ANYTHING
)


@given(PUBLISHERS | ANYTHING, ANYTHING)
def test_no_word_about_people_breaks_it(publishers: Any, leaving: Any) -> None:
    people = People()
    people.hear({"publishers": publishers, "leaving": leaving, "unpublished": leaving})
    people.find("*")


def person(number: int, name: str, *kinds: str, **more: Any) -> dict[str, Any]:
    streams = [{"type": kind, "mid": str(mid), **more} for mid, kind in enumerate(kinds)]
    return {"id": number, "display": name, "streams": streams}


def test_people_are_found_by_name_or_id_if_they_have_a_voice() -> None:
    people = People()
    people.hear(
        {"publishers": [person(1, "Ann", "video"), person(2, "Bob", "video", "audio"), person(3, "2", "audio")]}
    )
    assert people.find("Ann") is None, "she cannot be heard"
    bob, other = people.find("Bob"), people.find("2")
    assert bob is not None and (bob.id, bob.audio_mid) == (2, "1")
    assert other is not None and other.id == 3, "a name goes before an id"
    anybody = people.find("*")
    assert anybody is not None and anybody.id == 2
    people.hear({"unpublished": 2})
    assert people.find("Bob") is None and len(people) == 2
    people.hear({"publishers": [person(3, "2", "audio", disabled=True)]})
    assert people.find("*") is None

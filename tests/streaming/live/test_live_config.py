from pathlib import Path

import pytest

from engine.errors import ConfigError
from streaming.live.hotkeys import DEFAULT_KEYS, read_action
from streaming.live.live_config import LiveConfig, load_config, save_config
from streaming.serve.commands import Express, Look, Set, Talk


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert load_config(tmp_path / "none.toml") == LiveConfig()


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    pytest.importorskip("tomli_w", reason="the [live] extra is not installed")
    path = tmp_path / "folder" / "live.toml"
    changes = {
        "avatar": "ravi",
        "avatars": ["ada"],
        "latency": 200.0,
        "microphone": {"device": "Yeti", "gain_db": -3.5, "channel": 2},
        "gate": {"on": False},
        "output": {"voice": "CABLE", "background": "#00ff00"},
        "hotkeys": {"f1": "look away"},
    }
    config = load_config(path, changes)
    save_config(config, path)
    assert load_config(path) == config
    assert load_config(path, {"microphone": {"gain_db": 1.0}}).microphone.device == "Yeti", "the rest stays"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fps = 24", "fps"),
        ("[microphone]\ngain_db = 99", "microphone.gain_db"),
        ("[output]\nbackground = 'pink'", "background"),
        ("[hotkeys]\na = 'dance'", "dance"),
        ("colour = 3", "colour"),
        ("fps = = 3", "cannot be read"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "live.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what):
        load_config(path)


def test_every_default_key_does_something() -> None:
    assert all(read_action(action) for action in DEFAULT_KEYS.values())


def test_actions_are_commands() -> None:
    assert read_action("smile").down == Express(type="express", expression="smile", toggle=True)
    assert read_action(" look  away ").down == Look(type="look", at="away")
    head = read_action("head 0.5").down
    assert isinstance(head, Set) and head.controls.head_motion == 0.5
    talk = read_action("talk")
    assert talk.down == Talk(type="talk", on=True) and talk.up == Talk(type="talk", on=False)
    assert read_action("quit").down is None


@pytest.mark.parametrize("text", ["", "dance", "look up", "smile 3", "head fast", "background beach", "head inf"])
def test_what_is_no_action_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no action"):
        read_action(text)

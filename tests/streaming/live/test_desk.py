"""The whole desk on a virtual clock: a fake sound system, an engine whose mouth is the sound's loudness."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engine.errors import MienError
from streaming.live.desk import ROOM
from streaming.serve.commands import COMMAND, Flush, Interrupt, Start, Watch
from streaming.serve.serve_errors import RequestError
from tests.streaming.live.live_fakes import CABLE, MICROPHONE
from tests.streaming.live.studio import LEVEL, Studio


def test_voice_and_budget_agree_from_the_first_minute_to_the_last(tmp_path: Path) -> None:
    async def script(studio: Studio) -> None:
        await studio.rest(75)
        budget = studio.desk.budget
        expected = budget.engine.total_ms + budget.hold_ms
        for blocks in (slice(300, 320), slice(-30, -10)):
            assert studio.lateness_ms(blocks) == pytest.approx(expected, abs=1.5)
        assert budget.total_ms == pytest.approx(budget.microphone_ms + expected)
        voice = studio.desk.view()["voice"]
        assert (voice["underruns"], voice["jumps"], voice["xruns"]) == (0, 0, 0)
        assert studio.desk.session.stats().gaps == 0

    Studio(tmp_path).run(script)


def test_unplugged_and_back_it_is_live_again_within_two_seconds(tmp_path: Path) -> None:
    async def script(studio: Studio) -> None:
        await studio.rest(5)
        studio.host.plugged.remove(MICROPHONE)
        await studio.rest(5)
        frames = studio.desk.session.stats().frames
        assert studio.desk.view()["microphone"]["state"] == "waiting"
        await studio.rest(5)
        assert studio.desk.session.stats().frames >= frames + 95, "the avatar idles"
        assert not np.concatenate(studio.played[-100:]).any(), "and is silent"
        studio.host.plugged.append(MICROPHONE)
        await studio.rest(2)
        assert studio.desk.view()["microphone"]["state"] == "open"
        await studio.rest(1)
        assert np.abs(studio.played[-1]).max() == pytest.approx(LEVEL, abs=0.02)
        await studio.rest(10)
        budget = studio.desk.budget
        assert studio.lateness_ms(slice(-30, -10)) == pytest.approx(budget.engine.total_ms + budget.hold_ms, abs=2)

    Studio(tmp_path).run(script)


def test_the_cable_too_is_waited_for(tmp_path: Path) -> None:
    async def script(studio: Studio) -> None:
        await studio.rest(3)
        studio.host.plugged.remove(CABLE)
        await studio.rest(5)
        assert studio.desk.view()["voice"]["state"] == "waiting" and studio.desk.view()["microphone"]["state"] == "open"
        studio.host.plugged.append(CABLE)
        await studio.rest(12)
        budget = studio.desk.budget
        assert studio.lateness_ms(slice(-30, -10)) == pytest.approx(budget.engine.total_ms + budget.hold_ms, abs=2)

    Studio(tmp_path).run(script)


def test_commands_steer_face_and_desk(tmp_path: Path) -> None:
    async def script(studio: Studio) -> None:
        await studio.rest(2)
        controls = (await studio.ask(type="express", expression="smile", amount=0.8, seconds=3))["controls"]
        assert controls["smile"] == 0.8 and controls["frown"] == 0
        assert (await studio.ask(type="express", expression="wink"))["controls"]["smile"] == 0
        assert (await studio.ask(type="express", expression="wink", toggle=True))["controls"]["wink"] == 0
        assert (await studio.ask(type="look", at="away"))["controls"]["gaze_yaw"] > 0.2
        assert (await studio.ask(type="look", at="camera"))["controls"]["eye_contact"] == 1
        assert (await studio.ask(type="freeze"))["controls"]["freeze"] == 1
        assert (await studio.ask(type="freeze"))["controls"]["freeze"] == 0
        assert await studio.ask(type="blink") == {"type": "blinked"}
        assert (await studio.ask(type="gain", gain_db=-6))["microphone"]["gain_db"] == -6
        assert (await studio.ask(type="background", background="#102030"))["background"] == "#102030"
        assert (await studio.ask(type="mute"))["microphone"]["muted"]
        await studio.rest(1)
        assert not np.concatenate(studio.played[-20:]).any()
        with pytest.raises(RequestError, match="no avatar"):
            await studio.ask(type="change_avatar", avatar="nobody")
        assert (await studio.ask(type="change_avatar", avatar="ravi"))["avatar"] == "ravi"

    Studio(tmp_path).run(script)


def test_keys_do_what_the_configuration_says(tmp_path: Path) -> None:
    async def script(studio: Studio) -> None:
        await studio.rest(1)
        for key, down in (("F1", True), ("F1", False), ("k", True)):
            await studio.ask(type="key", key=key, down=down)
        assert studio.desk.session.set().smile == 1
        assert (await studio.ask(type="key", key="t", down=True))["microphone"]["heard"]
        assert not (await studio.ask(type="key", key="t", down=False))["microphone"]["heard"]
        await studio.ask(type="key", key="q", down=True)
        assert studio.ending.is_set()

    keys = {"f1": "smile", "t": "talk", "q": "quit"}
    Studio(tmp_path, hotkeys=keys, microphone={"push_to_talk": True}).run(script)


def test_any_commands_leave_the_desk_running(tmp_path: Path) -> None:
    chance = random.Random(11)
    kinds = ["set", "express", "look", "blink", "freeze", "mute", "talk", "push_to_talk", "gain", "background", "key"]
    values: list[Any] = [True, False, None, 0, 1, -1, 0.5, 1e9, "smile", "camera", "#fff000", "image", "", "f1", {}, []]
    fields = [
        "on",
        "expression",
        "amount",
        "at",
        "gain_db",
        "background",
        "key",
        "down",
        "controls",
        "toggle",
        "colour",
    ]

    async def script(studio: Studio) -> None:
        obeyed = 0
        for _ in range(600):
            message = {field: chance.choice(values) for field in chance.sample(fields, chance.randint(0, 2))}
            try:
                command = COMMAND.validate_python({"type": chance.choice(kinds), **message})
                assert not isinstance(command, Start | Flush | Interrupt | Watch)
                await studio.server.rooms.steering(studio.server.rooms.get(ROOM)).obey(command)
                obeyed += 1
            except (MienError, ValidationError):
                pass
            await studio.rest(0.01)
        assert obeyed > 40
        before = studio.desk.session.stats().frames
        await studio.rest(1)
        assert studio.desk.session.stats().frames >= before + 19

    Studio(tmp_path).run(script)


def test_a_session_without_a_desk_says_so(tmp_path: Path) -> None:
    async def script(studio: Studio) -> None:
        steering = studio.server.rooms.steering(studio.server.rooms.get(ROOM))
        steering.desk = None
        for message in ({"type": "mute"}, {"type": "record"}, {"type": "key", "key": "a"}):
            with pytest.raises(RequestError, match="mien live"):
                await studio.ask(**message)

    Studio(tmp_path).run(script)

"""An avatar worker for LiveKit: joins a room as a participant and gives the agent in it a face.

The agent's side hands its speech over with ``DataStreamAudioOutput(room, destination_identity="mien")`` in the place of
its own audio output; this worker plays it, mouth and voice in sync, and tells the agent how much was heard.

    pip install 'mien[livekit]'
    LIVEKIT_URL=wss://... LIVEKIT_TOKEN=... python examples/livekit_avatar.py --avatar ada --agent AGENT_IDENTITY

The token is the avatar's own (identity ``mien``, with the grants to join, to publish, and to publish data).
"""

import argparse
import asyncio
import os
import signal
import sys

from livekit import rtc
from livekit.agents.voice.avatar import AvatarRunner, DataStreamAudioReceiver

from engine.engine import Engine
from engine.errors import MienError
from streaming.avatars import resolve_avatar
from streaming.bots.livekit_avatar import MienVideoGenerator, avatar_options


async def work(url: str, token: str, avatar: str, agent: str | None, fps: int) -> None:
    """Be the agent's face until the room is left or the process is asked to end."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    face = await asyncio.to_thread(resolve_avatar, avatar)
    async with Engine() as engine, engine.session(avatar=face, mode="pushed", fps=fps) as session:
        print(session.budget.table())
        room = rtc.Room()
        room.on("disconnected", lambda *_: ended.set())
        await room.connect(url, token)
        runner = AvatarRunner(
            room,
            audio_recv=DataStreamAudioReceiver(room, sender_identity=agent),
            video_gen=MienVideoGenerator(session),
            options=avatar_options(fps),
        )
        await runner.start()
        print(f"in the room {room.name}; Ctrl-C leaves it")
        await ended.wait()
        await runner.aclose()
        await room.disconnect()


def main() -> int:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", default="ada", help="a shipped avatar's name, an .avatar file, or a picture")
    parser.add_argument("--agent", help="identity of the agent; by default the first agent in the room")
    parser.add_argument("--fps", type=int, default=30, help="60, 30, 25 or 20")
    given = parser.parse_args()
    url, token = os.environ.get("LIVEKIT_URL"), os.environ.get("LIVEKIT_TOKEN")
    if not url or not token:
        print("Set LIVEKIT_URL and LIVEKIT_TOKEN.", file=sys.stderr)
        return 2
    try:
        asyncio.run(work(url, token, given.avatar, given.agent, given.fps))
    except (MienError, rtc.ConnectError) as error:
        print(f"livekit_avatar: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

import asyncio

import numpy as np

from engine.clock import NS_PER_MS, VirtualClock
from streaming.serve.media.encoders import VoiceEncoder
from streaming.serve.media.voice_in import VoiceReceiver

PACKETS = 200


def test_a_voice_with_losses_is_heard_without_gaps_and_at_one_delay() -> None:
    clock, heard = VirtualClock(10**12), []

    async def hear(samples: np.ndarray) -> None:
        heard.append((clock.now_ns(), len(samples)))

    async def main() -> VoiceReceiver:
        voice, encoder = VoiceReceiver(clock, hear, allowance_ms=40), VoiceEncoder()
        running = asyncio.create_task(voice.run())
        for number in range(PACKETS):
            phase = np.arange(960 * number, 960 * (number + 1)) / 48_000
            (packet,), _ = encoder.encode((9000 * np.sin(2 * np.pi * 300 * phase)).astype(np.int16), 960 * number)
            await clock.sleep_until(10**12 + 20 * NS_PER_MS * (number + 1))
            if number % 10 != 7:  # and twice two in a row
                if number not in (58, 98):
                    voice.packet(960 * number, packet)
            elif number == 47:
                voice.packet(960 * number, b"\xff\xff\xff")
                voice.packet(960 * number, b"")
        await clock.sleep_until(clock.now_ns() + NS_PER_MS)
        running.cancel()
        await asyncio.wait([running])
        return voice

    voice = clock.run(main())
    assert sum(samples for _, samples in heard) == 960 * PACKETS
    assert voice.stats.lost >= PACKETS // 10 and voice.malformed >= 1
    # Where nothing is missing the sound is handed on when it comes; nothing waits longer than the allowance.
    position, delays = 0, []
    for at, samples in heard:
        position += samples
        delays.append((at - 10**12) / NS_PER_MS - position / 48)
    assert max(delays) <= 40 and sorted(delays)[len(delays) // 2] < 1

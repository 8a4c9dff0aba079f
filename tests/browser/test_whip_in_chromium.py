"""A WHIP publisher and a WHEP player in Chromium: one gives its microphone, the other is given the avatar."""

import sys
from pathlib import Path

import httpx
import pytest

from benchmarks.browser import browser, missing
from benchmarks.recording import at_48k, load_speech
from benchmarks.served import served
from benchmarks.webrtc_bench import write_wav

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "models" / "pretrained" / "demo" / "hello.flac"
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.browser.light_server import main; main()"
PATIENCE_MS = 60_000
MEET = """async () => {
  const asked = { avatar: "ada", mode: "live", fps: 20, lookahead: 0 };
  const json = { "Content-Type": "application/json" };
  const made = await fetch("/api/sessions", { method: "POST", headers: json, body: JSON.stringify(asked) });
  const { id } = await made.json();
  const join = async (door, prepare) => {
    const peer = new RTCPeerConnection();
    await prepare(peer);
    await peer.setLocalDescription();
    while (peer.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
    const headers = { "Content-Type": "application/sdp" };
    const answer = await fetch(`/${door}/${id}`, { method: "POST", headers, body: peer.localDescription.sdp });
    const type = answer.headers.get("Content-Type");
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    return { peer, status: answer.status, type, place: answer.headers.get("Location") };
  };
  const voice = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false } });
  const whip = await join("whip", (peer) => peer.addTransceiver(voice.getTracks()[0], { direction: "sendonly" }));
  const stream = new MediaStream();
  const whep = await join("whep", (peer) => {
    peer.ontrack = ({ track }) => stream.addTrack(track);
    peer.addTransceiver("audio", { direction: "recvonly" });
    peer.addTransceiver("video", { direction: "recvonly" });
  });
  const video = document.getElementById("video");
  video.muted = true;
  video.srcObject = stream;
  await video.play();
  window.met = { id, whip, whep };
  return [whip, whep].map(({ status, type, place }) => ({ status, type, place }));
}"""
LEAVE = """async () => {
  const { whip, whep } = window.met;
  const left = [];
  for (const { peer, place } of [whip, whep]) {
    left.push((await fetch(place, { method: "DELETE" })).status);
    peer.close();
  }
  return left;
}"""
LIPS = """async ([least, patience]) => {
  const video = document.getElementById("video");
  const pen = new OffscreenCanvas(96, 64).getContext("2d", { willReadFrequently: true });
  const end = performance.now() + patience;
  const seen = [];
  while (performance.now() < end && !(Math.max(...seen) - Math.min(...seen) >= least)) {
    if (video.readyState >= 2) {
      pen.drawImage(video, 208, 240, 96, 64, 0, 0, 96, 64);
      const { data } = pen.getImageData(0, 0, 96, 64);
      seen.push(data.reduce((sum, value, at) => (at % 4 === 1 ? sum + value : sum), 0) / (96 * 64));
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return [Math.max(...seen) - Math.min(...seen), video.videoWidth];
}"""

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def test_a_voice_goes_in_by_whip_and_its_face_comes_out_by_whep(tmp_path: Path) -> None:
    microphone = tmp_path / "hello.wav"
    write_wav(microphone, at_48k(load_speech(HELLO)))
    with served(command=(sys.executable, "-u", "-c", SERVE)) as address, browser(microphone) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(address)
        whip, whep = page.evaluate(MEET)
        for door, answered in (("whip", whip), ("whep", whep)):
            assert (answered["status"], answered["type"]) == (201, "application/sdp")
            assert f"/{door}/" in answered["place"]
        lips, width = page.evaluate(LIPS, [12, PATIENCE_MS])
        assert lips >= 12 and width == 512
        assert page.evaluate(LEAVE) == [200, 200]
        session = page.evaluate("() => window.met.id")
        assert httpx.get(f"{address}/api/sessions/{session}").json()["peers"] == []

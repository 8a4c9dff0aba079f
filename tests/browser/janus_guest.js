// A participant of a Janus VideoRoom in a page: gives its microphone, shows and plays the one called `wanted`.
// For tests: no framework, no error handling beyond throwing.
class Janus {
  constructor(url) {
    this.socket = new WebSocket(url, "janus-protocol");
    this.waiting = new Map();
    this.news = [];
    this.count = 0;
    this.open = new Promise((done) => (this.socket.onopen = done));
    this.socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      const done = this.waiting.get(message.transaction);
      if (!done) this.news.push(message);
      else if (message.janus !== "ack") {
        this.waiting.delete(message.transaction);
        done(message);
      }
    };
  }

  ask(message) {
    const transaction = `guest-${(this.count += 1)}`;
    this.socket.send(JSON.stringify({ ...message, transaction, session_id: this.session }));
    return new Promise((done) => this.waiting.set(transaction, done));
  }

  async begin() {
    await this.open;
    this.session = (await this.ask({ janus: "create" })).data.id;
  }

  async attach() {
    return (await this.ask({ janus: "attach", plugin: "janus.plugin.videoroom" })).data.id;
  }

  async plugin(handle_id, body, jsep) {
    const reply = await this.ask({ janus: "message", handle_id, body, ...(jsep ? { jsep } : {}) });
    if (reply.plugindata.data.error) throw new Error(reply.plugindata.data.error);
    return reply;
  }
}

async function gathered(connection) {
  while (connection.iceGatheringState !== "complete") {
    await new Promise((done) => setTimeout(done, 20));
  }
  return { type: connection.localDescription.type, sdp: connection.localDescription.sdp };
}

window.enter = async (url, room, name) => {
  const janus = new Janus(url);
  await janus.begin();
  const handle = await janus.attach();
  const joined = await janus.plugin(handle, { request: "join", ptype: "publisher", room, display: name });
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false } });
  const out = new RTCPeerConnection();
  out.addTrack(microphone.getAudioTracks()[0], microphone);
  await out.setLocalDescription(await out.createOffer());
  const body = { request: "publish", audio: true, video: false };
  await out.setRemoteDescription((await janus.plugin(handle, body, await gathered(out))).jsep);
  window.guest = { janus, out, others: joined.plugindata.data.publishers };
};

window.watch = async (room, wanted) => {
  const { janus, others } = window.guest;
  for (;;) {
    others.push(...janus.news.splice(0).flatMap((news) => news.plugindata?.data.publishers ?? []));
    if (others.some((other) => other.display === wanted)) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  const feed = others.find((other) => other.display === wanted).id;
  const handle = await janus.attach();
  const offered = await janus.plugin(handle, { request: "join", ptype: "subscriber", room, streams: [{ feed }] });
  const back = new RTCPeerConnection();
  const stream = new MediaStream();
  back.ontrack = ({ track }) => stream.addTrack(track);
  await back.setRemoteDescription(offered.jsep);
  await back.setLocalDescription(await back.createAnswer());
  await janus.plugin(handle, { request: "start" }, await gathered(back));
  const video = document.querySelector("video");
  video.srcObject = stream;
  await video.play();
  const sound = new AudioContext();
  const ear = sound.createAnalyser();
  sound.createMediaStreamSource(stream).connect(ear);
  window.look = { video, ear, back };
};

// Brightness of the picture and loudness of the sound, looked at for so many ms.
window.observe = async (ms) => {
  const { video, ear, back } = window.look;
  const pen = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  const heard = new Float32Array(ear.fftSize);
  const seen = [];
  const loud = [];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    pen.drawImage(video, 0, 0, 16, 16);
    seen.push(pen.getImageData(8, 8, 1, 1).data[1]);
    ear.getFloatTimeDomainData(heard);
    loud.push(Math.max(...heard.map(Math.abs)));
    await new Promise((done) => setTimeout(done, 30));
  }
  let frames = 0;
  for (const report of (await back.getStats()).values()) frames = Math.max(frames, report.framesDecoded ?? 0);
  return { seen, loud, frames, width: video.videoWidth };
};

// For every picture shown within so many ms: when, how loud the sound is then, and how much of the mouth's region of the
// avatar `ada` is as dark as only the inside of a mouth is.
window.answers = (ms) =>
  new Promise((done) => {
    const { video, ear } = window.look;
    const pen = new OffscreenCanvas(112, 76).getContext("2d", { willReadFrequently: true });
    const heard = new Float32Array(ear.fftSize);
    const found = [];
    const end = performance.now() + ms;
    const see = (now) => {
      pen.drawImage(video, 200, 240, 112, 76, 0, 0, 112, 76);
      const { data } = pen.getImageData(0, 0, 112, 76);
      let dark = 0;
      for (let at = 1; at < data.length; at += 4) dark += data[at] < 70;
      ear.getFloatTimeDomainData(heard);
      found.push([now, Math.hypot(...heard) / Math.sqrt(heard.length), dark / (112 * 76)]);
      if (now < end) video.requestVideoFrameCallback(see);
      else done(found);
    };
    video.requestVideoFrameCallback(see);
  });

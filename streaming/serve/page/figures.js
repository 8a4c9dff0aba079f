// The browser's reports of a connection as figures: what a packet, a picture and a second cost on the way here.

/** One look at a connection: the fields of RTCPeerConnection.getStats() that the page uses. */
export function read(reports) {
  const all = [...reports.values()];
  const inbound = (kind) => all.find((report) => report.type === "inbound-rtp" && report.kind === kind) ?? {};
  const transport = all.find((report) => report.type === "transport");
  const pair = reports.get(transport?.selectedCandidatePairId) ?? {};
  const video = inbound("video");
  return {
    video,
    audio: inbound("audio"),
    uplink: all.find((report) => report.type === "remote-inbound-rtp" && report.kind === "audio") ?? {},
    pair,
    route: [reports.get(pair.localCandidateId), reports.get(pair.remoteCandidateId)]
      .map((side) => side?.candidateType)
      .join(" to "),
    protocol: reports.get(pair.localCandidateId)?.protocol ?? "",
    codec: reports.get(video.codecId)?.mimeType?.replace("video/", "") ?? "",
  };
}

/** Figures over the time between two looks; undefined where the browser does not tell. */
export function between(before, now) {
  const rise = (kind, name) => now[kind][name] - (before?.[kind][name] ?? 0);
  const mean = (kind, total, count) => {
    const share = (1000 * rise(kind, total)) / rise(kind, count);
    return Number.isFinite(share) ? share : undefined;
  };
  const seconds = (now.video.timestamp - before?.video.timestamp) / 1000;
  const perSecond = (name) => (seconds > 0 ? rise("video", name) / seconds : undefined);
  const { video, audio, uplink, pair } = now;
  return {
    rttMs: ms(pair.currentRoundTripTime ?? uplink.roundTripTime),
    videoBufferMs: mean("video", "jitterBufferDelay", "jitterBufferEmittedCount"),
    audioBufferMs: mean("audio", "jitterBufferDelay", "jitterBufferEmittedCount"),
    decodeMs: mean("video", "totalDecodeTime", "framesDecoded"),
    jitterMs: ms(video.jitter),
    uplinkJitterMs: ms(uplink.jitter),
    uplinkLost: uplink.packetsLost,
    lost: sum(video.packetsLost, audio.packetsLost),
    fps: perSecond("framesDecoded") ?? video.framesPerSecond,
    mbps: perSecond("bytesReceived") === undefined ? undefined : (8 * perSecond("bytesReceived")) / 1e6,
    received: video.framesReceived,
    dropped: video.framesDropped,
    freezes: video.freezeCount,
    frozenS: video.totalFreezesDuration,
    keyFrames: video.keyFramesDecoded,
    concealedMs: audio.concealedSamples === undefined ? undefined : audio.concealedSamples / 48,
    size: video.frameWidth ? `${video.frameWidth} × ${video.frameHeight}` : undefined,
    codec: now.codec,
    route: now.route,
    protocol: now.protocol,
  };
}

/**
 * The way from voice to picture, part by part in ms: what the engine promised, then what this connection adds.
 * @param {object} budget of the session.
 * @param {object} told the server's answer: stats, stages.
 * @param {object} network of `between`.
 * @returns {{name: string, label: string, ms: number, promised: boolean}[]}
 */
export function way(budget, told, network) {
  // The server keeps a part of the chunk for packets that come late.
  const jitter = budget.jitter_ms ?? 0;
  const parts = [
    ["lookahead", "Lookahead", budget.lookahead_ms, true],
    ["chunk", "Chunk of sound", budget.chunk_ms - jitter, true],
    ["receive", "Allowance for network jitter", jitter, true],
    ["compute", "Compute allowance", budget.compute_ms, true],
    ["output", "Output", budget.output_ms, true],
    ["encode", "Encoding and sending, median", told.stages?.picture_out?.p50],
    ["network", "Network, both ways", network.rttMs],
    ["buffer", "Jitter buffer", network.videoBufferMs],
    ["decode", "Decoding", network.decodeMs],
  ];
  return parts
    .filter(([, , value]) => Number.isFinite(value))
    .map(([name, label, value, promised = false]) => ({ name, label, ms: value, promised }));
}

/** Nearest-rank percentile. */
export function percentile(values, share) {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered[Math.max(0, Math.ceil(ordered.length * share) - 1)];
}

const ms = (seconds) => (seconds === undefined ? undefined : 1000 * seconds);
const sum = (...values) =>
  values.every((value) => value === undefined) ? undefined : values.reduce((a, b) => a + (b ?? 0), 0);

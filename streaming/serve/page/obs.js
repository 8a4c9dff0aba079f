// /obs?background=transparent|original|desk|%23rrggbb [&avatar=id] [&sound=1] [&session=live] [&webrtc=0]
//
// transparent (the default) and colours show the person alone; a colour lies behind it in this source only. original is
// the avatar's own background, desk whatever the desk shows now. avatar makes the session become another person.

import { change } from "./api.js";
import { Viewer } from "./viewer.js";

const asked = new URLSearchParams(location.search);
const session = asked.get("session") ?? "live";
const background = asked.get("background") ?? "transparent";
const own = ["original", "desk"].includes(background);
const video = document.getElementById("call");
video.muted = asked.get("sound") !== "1";
if (!own && background !== "transparent") document.body.style.background = background;

const viewer = new Viewer(document.getElementById("avatar"), video, {
  session,
  picture: own ? background : "stacked",
  webrtc: asked.get("webrtc") !== "0",
});
viewer.addEventListener("change", ({ detail }) => {
  document.documentElement.dataset.by = viewer.by;
  if (detail) console.info(detail);
});
if (asked.has("avatar")) change(session, { avatar: asked.get("avatar") }).catch((error) => console.warn(error.message));
viewer.run();

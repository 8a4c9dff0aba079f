// The avatars to choose from, and the making of a new one from a picture.

import * as api from "./api.js";
import { $, icon, kept, make, toast } from "./dom.js";

const LARGEST_BYTES = 20 * 2 ** 20;

/** Raises "choose" when another avatar is chosen. */
export class Gallery extends EventTarget {
  chosen = null;
  #avatars = [];
  #pictures = new Map();
  #file = null;

  constructor() {
    super();
    $("gallery").addEventListener("change", ({ target }) => this.choose(target.value));
    $("picture").addEventListener("change", ({ target }) => target.files[0] && this.offer(target.files[0]));
    $("rights").addEventListener("change", () => this.#ready());
    $("upload-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#upload();
    });
    $("upload").addEventListener("close", () => this.#clear());
  }

  /** Fetch the list and show it. */
  async load() {
    this.#avatars = await api.avatars();
    $("gallery").replaceChildren(...this.#avatars.map((avatar) => this.#card(avatar)), this.#adder());
    const before = kept.get("avatar", null);
    this.choose((this.#avatars.find(({ id }) => id === (this.chosen?.id ?? before)) ?? this.#avatars[0])?.id, true);
    await Promise.all(this.#avatars.map((avatar) => this.#show(avatar)));
  }

  choose(id, quiet = false) {
    const avatar = this.#avatars.find((one) => one.id === id);
    if (!avatar) return;
    this.chosen = avatar;
    kept.set("avatar", id);
    const radio = [...$("gallery").querySelectorAll("input")].find((input) => input.value === id);
    if (radio) radio.checked = true;
    $("points").href = `points?avatar=${encodeURIComponent(id)}${location.hash}`;
    this.#still();
    this.dispatchEvent(new CustomEvent("choose", { detail: { quiet } }));
  }

  chooseNumber(number) {
    this.choose(this.#avatars[number - 1]?.id);
  }

  /** Propose a picture for a new avatar. */
  offer(file) {
    if (!$("upload").open) $("upload").showModal();
    this.#wrong("");
    if (!file.type.startsWith("image/")) return this.#wrong(`${file.name} is no picture: give a PNG, JPEG or WebP.`);
    if (file.size > LARGEST_BYTES) return this.#wrong(`${file.name} is larger than ${LARGEST_BYTES / 2 ** 20} MB.`);
    this.#file = file;
    URL.revokeObjectURL($("picture-view").src);
    $("picture-view").src = URL.createObjectURL(file);
    $("picture-view").hidden = false;
    this.#ready();
  }

  #card(avatar) {
    const radio = make("input", { type: "radio", name: "avatar", value: avatar.id });
    const picture = make("img", { alt: "", width: 120, height: 120, hidden: true });
    picture.dataset.avatar = avatar.id;
    return make(
      "label",
      { className: "card" },
      radio,
      make("span", { className: "pic" }, picture),
      make("span", { className: "name", textContent: avatar.name }),
    );
  }

  #adder() {
    const button = make("button", { type: "button", className: "card add" });
    button.append(
      make("span", { className: "pic" }, icon("plus")),
      make("span", { className: "name", textContent: "Your picture" }),
    );
    button.addEventListener("click", () => $("upload").showModal());
    return button;
  }

  async #show(avatar) {
    if (!this.#pictures.has(avatar.id)) {
      try {
        this.#pictures.set(avatar.id, URL.createObjectURL(await api.picture(avatar)));
      } catch {
        return; // Its card keeps its name, and it can be chosen.
      }
    }
    for (const picture of $("gallery").querySelectorAll("img")) {
      if (picture.dataset.avatar !== avatar.id) continue;
      picture.src = this.#pictures.get(avatar.id);
      picture.hidden = false;
    }
    if (avatar.id === this.chosen?.id) this.#still();
  }

  #still() {
    const source = this.#pictures.get(this.chosen.id);
    const still = $("still");
    still.hidden = !source;
    still.alt = this.chosen.name;
    if (!source) return;
    still.src = source;
    // A picture that is exchanged meanwhile is decoded by its own call.
    still.decode().then(() => drawOut(still), () => {});
  }

  async #upload() {
    const button = $("upload-go");
    button.disabled = true;
    button.textContent = "Finding the face …";
    try {
      const made = await api.makeAvatar(this.#file);
      $("upload").close();
      await this.load();
      this.choose(made.id);
      toast(`${this.chosen.name} is ready.`);
    } catch (error) {
      this.#wrong(error.message);
    } finally {
      button.textContent = "Make the avatar";
      this.#ready();
    }
  }

  #ready() {
    $("upload-go").disabled = !(this.#file && $("rights").checked);
  }

  #wrong(sentence) {
    $("upload-wrong").textContent = sentence;
    $("upload-wrong").hidden = !sentence;
  }

  #clear() {
    this.#file = null;
    $("upload-form").reset();
    $("picture-view").hidden = true;
    this.#wrong("");
    this.#ready();
  }
}

/** Draw a picture's left and right edges out to both sides, and fading over it. */
function drawOut(picture) {
  const edge = picture.naturalWidth / 64;
  for (const side of ["left", "right"]) {
    const [beside, over] = [$(`ambient-${side}`), $(`seam-${side}`)];
    const from = side === "left" ? 0 : picture.naturalWidth - edge;
    draw(beside, (pen, width, height) =>
      pen.drawImage(picture, from, 0, edge, picture.naturalHeight, 0, 0, width, height),
    );
    draw(over, (pen, width, height) => {
      pen.drawImage(beside, 0, 0, width, height);
      const [outer, inner] = side === "left" ? [0, width] : [width, 0];
      const fade = pen.createLinearGradient(outer, 0, inner, 0);
      for (const [place, colour] of [
        [0.1, "black"],
        [1, "transparent"],
      ])
        fade.addColorStop(place, colour);
      pen.globalCompositeOperation = "destination-in";
      pen.fillStyle = fade;
      pen.fillRect(0, 0, width, height);
    });
  }
}

function draw(canvas, paint) {
  const pen = canvas.getContext("2d");
  pen.globalCompositeOperation = "copy";
  paint(pen, canvas.width, canvas.height);
}

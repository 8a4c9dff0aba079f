// The points of one face: what was moved, undone, done again. Nothing here knows of the document. After the 68 come
// two for each iris: its centre, and a point of its edge.

export const SIZE = 512;
/** The names of the lines that `/api/avatars/{avatar}/points` gives, in its order. Sides are the person's own. */
export const LINES = [
  "Jaw",
  "Right brow",
  "Left brow",
  "Bridge of the nose",
  "Nostrils",
  "Right eye",
  "Left eye",
  "Outer lips",
  "Inner lips",
  "Right iris",
  "Left iris",
];
const LANDMARKS = 68;

/** A shift that leaves all values inside of the picture. */
const held = (values, by) => Math.min(SIZE - 1 - Math.max(...values), Math.max(-Math.min(...values), by));
const same = (a, b) => a.every(([x, y], i) => x === b[i][0] && y === b[i][1]);

export class Points {
  #saved;
  #before = [];
  #after = [];
  #held = null;

  /** @param {{points, irises, lines}} face as `/api/avatars/{avatar}/points` gives it. */
  constructor(face) {
    this.keep(face);
    this.facial = face.lines;
    this.lines = [...face.lines, [[LANDMARKS, LANDMARKS + 1], false], [[LANDMARKS + 2, LANDMARKS + 3], false]];
  }

  /** Centre and radius of both irises. */
  get irises() {
    return [LANDMARKS, LANDMARKS + 2].map((at) => {
      const [[x, y], [edgeX, edgeY]] = [this.now[at], this.now[at + 1]];
      return [x, y, Math.hypot(edgeX - x, edgeY - y)];
    });
  }

  /** To be saved. */
  get face() {
    return { points: this.now.slice(0, LANDMARKS), irises: this.irises };
  }

  get canUndo() {
    return this.#before.length > 0;
  }

  get canRedo() {
    return this.#after.length > 0;
  }

  /** Whether anything differs from what was saved. */
  get changed() {
    return !same(this.now, this.#saved);
  }

  moved(index) {
    return !same([this.now[index]], [this.#saved[index]]);
  }

  /** The line that a point belongs to. */
  lineOf(index) {
    return this.lines.findIndex(([members]) => members.includes(index));
  }

  /** @returns {number[]} what moves along with a point: itself, its "line", or "all". */
  reach(index, how) {
    if (how === "all") return this.now.map((_, i) => i);
    const isCentre = index >= LANDMARKS && (index - LANDMARKS) % 2 === 0;
    return how === "line" || isCentre ? this.lines[this.lineOf(index)][0] : [index];
  }

  /** Begin a movement, which is one step to undo. */
  hold() {
    this.#held = this.now;
  }

  /** Move some points by so much from where they were when the movement began; together they stay in the picture. */
  drag(indices, dx, dy) {
    const moving = new Set(indices);
    const [byX, byY] = [dx, dy].map((by, axis) => held(indices.map((i) => this.#held[i][axis]), by));
    this.now = this.#held.map(([x, y], i) => (moving.has(i) ? [x + byX, y + byY] : [x, y]));
  }

  /** End the movement. */
  release() {
    if (this.#held && !same(this.#held, this.now)) {
      this.#before.push(this.#held);
      this.#after = [];
    }
    this.#held = null;
  }

  nudge(indices, dx, dy) {
    this.hold();
    this.drag(indices, dx, dy);
    this.release();
  }

  undo() {
    this.#step(this.#before, this.#after);
  }

  redo() {
    this.#step(this.#after, this.#before);
  }

  /** Back to what was saved, as a step that can be undone. */
  reset() {
    this.hold();
    this.now = this.#saved;
    this.release();
  }

  /** This is what is saved now. */
  keep({ points, irises }) {
    this.now = [...points, ...irises.flatMap(([x, y, radius]) => [[x, y], [x + radius, y]])];
    this.#saved = this.now;
  }

  #step(from, to) {
    if (!from.length || this.#held) return;
    to.push(this.now);
    this.now = from.pop();
  }
}

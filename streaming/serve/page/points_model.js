// The points of one face: what was moved, undone, done again. Nothing here knows of the document.

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
];

/** A shift that leaves all values inside of the picture. */
const held = (values, by) => Math.min(SIZE - 1 - Math.max(...values), Math.max(-Math.min(...values), by));
const same = (a, b) => a.every(([x, y], i) => x === b[i][0] && y === b[i][1]);

export class Points {
  #saved;
  #before = [];
  #after = [];
  #held = null;

  /**
   * @param {[number, number][]} points px, in iBUG's order.
   * @param {[number[], boolean][]} lines which of them make a line, and whether it is closed.
   */
  constructor(points, lines) {
    this.#saved = points;
    this.now = points;
    this.lines = lines;
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
    return how === "line" ? this.lines[this.lineOf(index)][0] : [index];
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

  /** They are saved as they are. */
  keep(points) {
    this.#saved = points;
    this.now = points;
  }

  #step(from, to) {
    if (!from.length || this.#held) return;
    to.push(this.now);
    this.now = from.pop();
  }
}

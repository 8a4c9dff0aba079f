// The server as the page sees it. Every failure is an ApiError with a sentence for the visitor.

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** The bearer token of the page's address, as in http://host/#token=abc; a fragment is never sent to a server. */
const token = () => new URLSearchParams(location.hash.slice(1)).get("token");

const SENTENCES = {
  401: "This server asks for a token: open the page as its address followed by #token= and the token.",
  403: "This server does not take calls from this page.",
  404: "The server no longer knows this; it may have been restarted.",
  413: "That is too large for this server.",
  429: "Too many requests at once; wait a moment.",
  503: "The server is full.",
};

async function request(method, path, { json, body, keepalive } = {}) {
  const headers = {};
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, keepalive, body: json === undefined ? body : JSON.stringify(json) });
  } catch {
    throw new ApiError("The server does not answer. Is it still running?");
  }
  if (!answer.ok) throw new ApiError(await sentence(answer), answer.status);
  return answer;
}

async function sentence(answer) {
  // Of a token the visitor learns where the page takes it; the server's own words are for programs.
  if (answer.status === 401) return SENTENCES[401];
  let said = SENTENCES[answer.status] ?? `The server answered with an error (${answer.status}).`;
  try {
    const { message } = await answer.json();
    if (typeof message === "string") said = message;
  } catch {
    // An answer without a sentence; ours stands.
  }
  const wait = Number(answer.headers.get("Retry-After"));
  return answer.status === 503 && wait ? `${said} Try again in ${wait} s.` : said;
}

const data = async (...args) => (await request(...args)).json();
const at = (id) => `/api/sessions/${encodeURIComponent(id)}`;

export const avatars = () => data("GET", "/api/avatars");
export const styles = () => data("GET", "/api/styles");
export const picture = async (avatar) => (await request("GET", avatar.picture ?? pictureOf(avatar.id))).blob();
const pictureOf = (id) => `/api/avatars/${encodeURIComponent(id)}/picture.png`;

const pointsOf = (id) => `/api/avatars/${encodeURIComponent(id)}/points`;
export const points = (id) => data("GET", pointsOf(id));
export const putPoints = (id, face) => data("PUT", pointsOf(id), { json: face });

export function makeAvatar(file) {
  const body = new FormData();
  body.append("picture", file);
  return data("POST", "/api/avatars", { body });
}

export const openSession = (wanted) => data("POST", "/api/sessions", { json: wanted });
export const session = (id) => data("GET", at(id));
export const change = (id, values) => request("PATCH", at(id), { json: values });
export const offer = (id, { type, sdp }) => data("POST", `${at(id)}/offer`, { json: { type, sdp } });
export const interrupt = (id) => request("POST", `${at(id)}/interrupt`);
export const closeSession = (id) => request("DELETE", at(id), { keepalive: true });

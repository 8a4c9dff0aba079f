// Runs before the first paint, so that a page kept dark does not flash white.
try {
  const kept = localStorage.getItem("mien.theme");
  if (kept) document.documentElement.dataset.theme = JSON.parse(kept);
} catch {
  // Storage may be forbidden; the system's choice then stands.
}

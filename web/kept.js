// web/kept.js -- the few texts that the browser keeps; it may be full, or keep none.

// A text; null if there is none.
export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key, text) {
  try {
    localStorage.setItem(key, text);
  } catch { /* then it is not kept */ }
}

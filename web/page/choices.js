// What the visitor chose, for the next visit. A browser may forbid storage; then nothing is remembered.

/** A stored choice with a `value`, a string; '' if there is none. */
export function choice(name) {
  const key = `choice ${name}`;
  return {
    get value() {
      try { return localStorage.getItem(key) ?? ''; } catch { return ''; }
    },
    set value(text) {
      try { localStorage.setItem(key, text); } catch { /* not remembered */ }
    },
  };
}

/** What the user chose, kept in localStorage: nothing of it is secret. */
export interface Preferences {
  fontSize: number;
  theme: "auto" | "dark" | "light";
  reader: boolean;
  /** null: shown where a finger is the pointer. */
  keys: boolean | null;
}

const NAME = "codesessions.preferences";
export const SMALLEST = 8;
export const LARGEST = 32;

export function load(): Preferences {
  const found: Preferences = { fontSize: 14, theme: "auto", reader: false, keys: null };
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Preferences>;
    if (typeof kept.fontSize === "number") found.fontSize = Math.min(LARGEST, Math.max(SMALLEST, kept.fontSize));
    if (kept.theme === "dark" || kept.theme === "light") found.theme = kept.theme;
    if (typeof kept.reader === "boolean") found.reader = kept.reader;
    if (typeof kept.keys === "boolean") found.keys = kept.keys;
  } catch {
    // no storage, or somebody else's text in it
  }
  return found;
}

export function save(preferences: Preferences): void {
  try {
    localStorage.setItem(NAME, JSON.stringify(preferences));
  } catch {
    // a private window without storage: then for this page only
  }
}

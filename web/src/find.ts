/** Find in the terminal's text. */
import type { ISearchOptions } from "@xterm/addon-search";
import { at } from "./dom";
import type { Screen } from "./screen";

const OPTIONS: ISearchOptions = {
  decorations: {
    matchBackground: "#6e5a1e",
    matchOverviewRuler: "#d9a53b",
    activeMatchBackground: "#b8860b",
    activeMatchColorOverviewRuler: "#ffd866",
  },
};

/** Wire the bar up; returns what opens it. */
export function wire(screen: Screen): () => void {
  const bar = at("find", HTMLFormElement);
  const text = at("find-text", HTMLInputElement);
  const count = at("find-count", HTMLElement);
  const close = (): void => {
    bar.hidden = true;
    screen.search.clearDecorations();
    screen.terminal.focus();
  };
  const next = (): boolean => screen.search.findNext(text.value, OPTIONS);
  const previous = (): boolean => screen.search.findPrevious(text.value, OPTIONS);
  screen.search.onDidChangeResults(({ resultIndex, resultCount }) => {
    const place = resultIndex < 0 ? "" : `${resultIndex + 1} of `;
    count.textContent = text.value === "" ? "" : resultCount === 0 ? "none" : `${place}${resultCount}`;
  });
  text.addEventListener("input", () => {
    if (text.value === "") {
      screen.search.clearDecorations();
      count.textContent = "";
    } else {
      screen.search.findPrevious(text.value, { ...OPTIONS, incremental: true });
    }
  });
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    next();
  });
  at("find-previous", HTMLButtonElement).addEventListener("click", previous);
  at("find-close", HTMLButtonElement).addEventListener("click", close);
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      previous();
    }
  });
  return () => {
    bar.hidden = false;
    text.focus();
    text.select();
  };
}

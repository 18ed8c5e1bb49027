import { defineConfig } from "vite";

// Relative addresses, as a gateway may live below a prefix; `cs_/` leads to the gateway wherever sessions do.
export default defineConfig({
  base: "./",
  build: {
    assetsDir: "cs_",
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
  },
});

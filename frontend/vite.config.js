import { readFileSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const FIRST = /preload-helper|lib.painted\b/;
const COMMON = /lib.(reading|Status|Time|Trouble|EmptyState)\b|release.looks\b/;
const BASE = /node_modules(?!.*(bindings.|src.reactivity|blocks.html|blocks.svelte|css-props|transitions|legacy))|lib.(api|facts|router|live|keys|clock|me|toasts|neighbours|html|marks|Header|LiveIndicator|Lazy|Icon|Skeleton)\b|src.(App|routes)\b|board.(rows|look|cycle)\b/;

/** The shell is painted from one answer: its style and its icons are in it, so no request comes before them. */
function shell() {
  return {
    name: "shell",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle }) {
        let made = html.replace("<!--icons-->", () => readFileSync(new URL("src/icons.svg", import.meta.url), "utf8").replace(/>\s+</g, "><").trim());
        for (const [file, asset] of Object.entries(bundle ?? {})) {
          const link = new RegExp(`\\s*<link rel="stylesheet"[^>]*href="/${file}"[^>]*>`);
          if (asset.type !== "asset" || !link.test(made)) continue;
          made = made.replace(link, () => `<style>${asset.source}</style>`);
          delete bundle[file];
        }
        return made;
      },
    },
  };
}

/** Nearly all of a page's script runs when it is opened: compiled while it is fetched, and not when it is first called. */
function eager() {
  return {
    name: "eager",
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) if (chunk.type === "chunk") chunk.code = `//# allFunctionsCalledOnLoad\n${chunk.code}`;
    },
  };
}

export default defineConfig({
  plugins: [svelte(), shell(), eager()],
  build: {
    outDir: "../src/shipit/web/dist",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What every page needs is one file: many small ones compress worse. What comes before it is another, and
        // so is what all but the board begin with.
        codeSplitting: { groups: [{ name: "first", test: FIRST }, { name: "base", test: BASE }, { name: "common", test: COMMON }] },
      },
    },
  },
});

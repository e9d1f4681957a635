// Builds the script of the report page: npm ci && npm run build
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";

const here = new URL(".", import.meta.url).pathname;
const sources = ["package-lock.json", ...readdirSync(`${here}src`).sort().map((f) => `src/${f}`)];
const hash = createHash("sha256");
for (const source of sources) hash.update(readFileSync(here + source));
const licence = readFileSync(`${here}node_modules/three/LICENSE`, "utf8").trim();

await build({
  absWorkingDir: here,
  entryPoints: ["src/main.js"],
  outfile: "../handmesh_ros/report/page.js",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: {
    js:
      `/* Built from web/src by web/build.mjs; sha256 of its sources: ${hash.digest("hex")}\n` +
      `   With three.js:\n\n${licence} */`,
  },
  logLevel: "info",
});

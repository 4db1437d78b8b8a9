// Builds the live page: one static file, the same bytes from the same sources. node build.mjs NODE_MODULES [OUTPUT]
import { createRequire } from "node:module";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = resolve(process.argv[2]);
const output = resolve(process.argv[3] ?? join(here, "..", "page.html"));
const { build } = createRequire(join(modules, "none.js"))("esbuild");

async function bundle(entry) {
  const built = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    nodePaths: [modules],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "iife",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "error",
  });
  return { text: built.outputFiles[0].text.trim(), inputs: Object.keys(built.metafile.inputs) };
}

/** The licences of the libraries that are in the bundle: each asks to be passed on with it. */
function licences(inputs) {
  const names = new Set(inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
  return [...names].sort().map((name) => {
    const folder = join(modules, name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}`;
  });
}

const script = await bundle("src/main.tsx");
const style = await bundle("src/page.css");
const code = script.text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const legal = licences(script.inputs).join("\n\n----\n\n").replaceAll("--", "- -");
const icon = encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="none" stroke="#0f62c4" stroke-width="2" d="M3 8h4m0 0 4-4h2M7 8l4 4h2"/><circle cx="3" cy="8" r="2" fill="#0f62c4"/></svg>',
);
writeFileSync(
  output,
  `<!doctype html>
<!-- Built by web/build.mjs; the libraries in it are licensed as follows.

${legal}
-->
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Runs</title><link rel="icon" href="data:image/svg+xml,${icon}"><style>${style.text}</style></head><body><div id="app"></div><script>${code}</script></body></html>
`,
);

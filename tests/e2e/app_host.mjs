// The live view inside a host of MCP Apps, of a real server. argv: a folder with node_modules, Chromium, a JSON object:
// {host: app_host.ts, server: argv, environment, shots: folder or ""}. Prints what was seen, as JSON.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, program, given] = process.argv.slice(2);
const { host, server, environment, shots } = JSON.parse(given);
const require = createRequire(join(modules, "none.js"));
const { chromium } = require("playwright-core");
const { Client } = await import(pathToFileURL(require.resolve("@modelcontextprotocol/sdk/client/index.js")));
const { StdioClientTransport } = await import(pathToFileURL(require.resolve("@modelcontextprotocol/sdk/client/stdio.js")));
const URI = "ui://orchestration/run";
// The policy that the specification asks of hosts: no connections at all.
const POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'none'";
const CAPABILITIES = { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } } };

const built = await require("esbuild").build({
  entryPoints: [host],
  absWorkingDir: dirname(host),
  nodePaths: [modules],
  bundle: true,
  format: "iife",
  write: false,
  logLevel: "error",
});
const script = built.outputFiles[0].text.replaceAll("</script", "<\\/script");

const [command, ...args] = server;
const client = new Client({ name: "a host", version: "1" }, { capabilities: CAPABILITIES });
await client.connect(new StdioClientTransport({ command, args, env: environment, stderr: "ignore" }));
const quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"];
const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
const chrome = await chromium.launch({ executablePath: program, args: [...quiet, ...sandbox] });
try {
  const errors = [];
  const page = await chrome.newPage({ viewport: { width: 860, height: 960 } });
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && errors.push(message.text()));
  await page.exposeFunction("callTool", (params) => client.callTool(params));
  await page.exposeFunction("readResource", (params) => client.readResource(params));
  const html = `<!doctype html><body></body><script>${script}</script>`;
  await page.route("**/*", (route) =>
    route.fulfill({ contentType: "text/html; charset=utf-8", headers: { "content-security-policy": POLICY }, body: html }),
  );
  await page.goto("http://host.test/");
  const { tools } = await client.listTools();
  const meta = Object.fromEntries(tools.filter((tool) => tool._meta).map((tool) => [tool.name, tool._meta]));
  const { contents } = await client.readResource({ uri: URI });
  const frame = page.frameLocator("iframe");
  const state = frame.locator(".chip.big");
  const told = async (what, params) => page.evaluate(([name, data]) => window.tell(name, data), [what, params]);

  await page.evaluate((text) => window.show(text), contents[0].text);
  const empty = await frame.getByRole("status").innerText();

  // A call that does not return before its run has ended: the view finds the run.
  const wait = { command: "/ask" };
  await told("input", { arguments: wait });
  const begun = await client.callTool({ name: "run", arguments: wait });
  await frame.locator(".card").first().waitFor();
  await frame.getByRole("button", { name: "Approve" }).click();
  await frame.locator(".chip.big.s-completed").waitFor();
  await told("result", begun);
  await frame.locator(".card").first().click();
  await frame.getByText("thinking of careful-node").waitFor();
  await frame.getByRole("button", { name: "Show values" }).click();
  await frame.getByText("hello from careful-node").waitFor();
  if (shots) await page.screenshot({ path: join(shots, "app-host-dark.png") });
  const background = await frame.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
  const first = await page.evaluate(() => window.said);

  // Another view, of a run that is cancelled in it.
  await page.evaluate((text) => window.show(text), contents[0].text);
  await told("result", await client.callTool({ name: "run", arguments: { command: "/wait" } }));
  await frame.getByRole("button", { name: "Cancel run" }).click();
  await frame.getByRole("button", { name: "Cancel and roll back" }).click();
  await frame.locator(".chip.big.s-cancelled").waitFor();
  const left = await page.evaluate(() => window.leave());
  console.log(
    JSON.stringify({ meta, mime: contents[0].mimeType, empty, background, said: [...new Set(first)], left, errors, state: await state.innerText() }),
  );
} finally {
  await chrome.close();
  await client.close();
}

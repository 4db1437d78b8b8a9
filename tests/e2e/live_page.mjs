// A person at the live page. argv: a folder with node_modules, Chromium, a JSON object:
// {serve: argv of `orchestrate view` without a port, runs: {name: id}, shots: folder or ""}. Prints what was seen, as JSON.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, program, given] = process.argv.slice(2);
const { serve, runs, shots } = JSON.parse(given);
const { chromium } = createRequire(join(modules, "none.js"))("playwright-core");
const axe = readFileSync(join(modules, "axe-core", "axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const seen = { audits: {}, errors: [] };

async function start(port) {
  const [command, ...words] = serve;
  const server = spawn(command, [...words, "--port", String(port)], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = await once(server.stdout, "data");
  const address = new URL(String(line).split("\n")[0]);
  const of = (id) => {
    const found = new URL(address);
    found.pathname += `runs/${id}`;
    return String(found);
  };
  const stop = async () => {
    server.kill();
    await once(server, "exit");
  };
  return { address, of, stop };
}

async function opened(chrome, address, options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1600, height: 1000 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.errors.push(message.text()));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  await page.goto(address);
  return page;
}

async function look(page, name) {
  await page.evaluate(`${axe};0`); // through the debugger, so that the policy of the page stays on
  const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), RULES);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  seen.audits[name] = [
    ...found.violations.map((one) => `${one.id}: ${one.nodes[0].target} ${one.nodes[0].failureSummary}`),
    ...(wide ? ["it scrolls sideways"] : []),
  ];
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

/** The graph of a run and the panel of a node, at one width and in one colour scheme; *all*: the other views as well. */
async function views(chrome, address, width, colorScheme, all) {
  const page = await opened(chrome, address, { viewport: { width, height: 1000 }, colorScheme });
  await page.locator(".card").first().waitFor();
  const name = (view) => `run-${view}-${width}-${colorScheme}`;
  await look(page, name("graph"));
  await page.locator('[data-id="cover"]').click();
  await page.getByRole("heading", { name: "Items" }).waitFor();
  await page.getByRole("heading", { name: "Log" }).waitFor();
  await look(page, name("panel"));
  await page.getByRole("button", { name: "Show in graph" }).click();
  await page.getByRole("button", { name: "Close" }).click();
  await page.locator('[data-id="cover/1"]').waitFor();
  await look(page, name("items"));
  for (const view of all ? ["Timeline", "Nodes", "Todos"] : []) {
    await page.getByRole("tab", { name: view }).click();
    await page.getByRole("region", { name: view === "Todos" ? "Todo list" : view }).waitFor();
    await look(page, name(view.toLowerCase()));
  }
  await page.context().close();
}

/** Keys only: to the graph, from node to node, into a list and back, and to the answer of a question. */
async function keys(chrome, address) {
  const page = await opened(chrome, address);
  await page.locator(".card").first().waitFor();
  const active = (what) => page.evaluate((name) => document.activeElement?.getAttribute(name) ?? "", what);
  const tabs = [];
  while (tabs.length < 40 && !(await active("class")).includes("canvas")) {
    await page.keyboard.press("Tab");
    tabs.push((await active("aria-label")) || (await page.evaluate(() => document.activeElement?.textContent)));
  }
  const path = [];
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "]", "ArrowDown", "["]) {
    await page.keyboard.press(key);
    await page.waitForTimeout(60);
    path.push(await active("data-id"));
  }
  await page.keyboard.press("Enter");
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  await page.getByRole("complementary", { name: "Node cover" }).waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.getByRole("tab", { name: "Graph" }).focus();
  await page.keyboard.press("ArrowRight");
  const tab = await page.evaluate(() => document.querySelector('[role="tab"][aria-selected="true"]').textContent);
  seen.keys = { tabs, path, ring, tab };
  await page.context().close();
}

/** A low window: the panel of a node is longer than it, and a list is longer than the panel shows. */
async function low(chrome, address) {
  const page = await opened(chrome, address, { viewport: { width: 1600, height: 420 } });
  await page.locator(".card").first().waitFor();
  await page.locator('[data-id="cover"]').click();
  await page.getByRole("heading", { name: "Attempts" }).waitFor();
  const task = await page.locator(".panel .task").evaluate((one) => one.clientHeight);
  const first = await page.locator(".inside li").first().innerText();
  const undone = await page.locator('[data-id="make"] .note').innerText();
  seen.low = { task, first, undone };
  await page.context().close();
}

/** Two tabs; in one of them a question is answered with a key. */
async function answers(chrome, address) {
  const one = await opened(chrome, address);
  const other = await one.context().newPage();
  await other.goto(new URL(one.url()).toString()); // without the token: the cookie is enough
  const question = one.getByRole("region", { name: "Question of ask" });
  await other.getByRole("region", { name: "Question of ask" }).waitFor();
  const asked = await question.innerText();
  await question.getByRole("button", { name: "Approve" }).focus();
  await one.keyboard.press("Enter");
  const ends = [];
  for (const page of [one, other]) {
    await page.locator(".chip.big.s-completed, .chip.big.s-degraded").waitFor();
    ends.push(await page.locator(".chip.big").innerText());
  }
  seen.answers = { asked, ends, url: one.url() };
  await one.context().close();
}

/** What a person does to runs: one that was killed is resumed and then cancelled, a failed one is retried. */
async function actions(chrome, server) {
  const page = await opened(chrome, server.of(runs.killed));
  const state = (name) => page.locator(`.chip.big.s-${name}`).waitFor();
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  const bands = () => page.locator(".band.open").count();
  await state("interrupted");
  await press("Resume");
  await state("running");
  const open = [await bands()];
  await press("Cancel run");
  await press("Keep running");
  await press("Cancel run");
  await press("Cancel and roll back");
  await state("cancelled");
  await look(page, "cancelled-1600-light");
  open.push(await bands());
  await page.locator('[data-id="gate-keeper"]').click();
  const attempts = page.locator(".attempts .chip");
  await attempts.nth(1).waitFor();
  const ended = await attempts.allInnerTexts();
  await page.getByRole("tab", { name: "Timeline" }).click();
  await page.locator(".try").first().waitFor();
  const drawn = await page.locator(".try").evaluateAll((all) => all.map((one) => one.className));
  await page.goto(server.of(runs.failed));
  await state("failed");
  const tries = page.locator('[data-id="failing-node"] .tries');
  const before = (await tries.count()) ? await tries.innerText() : "×1";
  await press("Retry failed nodes");
  await page.waitForFunction((text) => {
    const now = document.querySelector('[data-id="failing-node"] .tries')?.textContent.trim() ?? "×1";
    return now !== text && document.querySelector(".chip.big.s-failed");
  }, before);
  seen.actions = { ended, drawn, open, before, after: (await tries.innerText()).trim() };
  await page.context().close();
}

async function list(chrome, address) {
  for (const [width, colorScheme] of [[1600, "light"], [400, "dark"]]) {
    const page = await opened(chrome, address, { viewport: { width, height: 1000 }, colorScheme });
    const rows = page.locator(".runs > li");
    await rows.first().waitFor();
    await look(page, `runs-${width}-${colorScheme}`);
    const all = await rows.count();
    await page.getByRole("combobox", { name: "State" }).selectOption("running");
    await page.waitForFunction((count) => document.querySelectorAll(".runs > li").length < count, all);
    const running = await rows.count();
    await rows.first().getByRole("button").click();
    await page.locator(".card").first().waitFor();
    const there = page.url();
    await page.goBack();
    await rows.first().waitFor();
    seen.list = { all, running, there };
    await page.context().close();
  }
}

const news = (page, id) =>
  page.evaluate(async (run) => {
    const base = location.pathname.replace(/runs\/.*$/, "");
    const answer = await fetch(`${base}api/runs/${run}/events`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("\n\n") && !text.includes("\r\n\r\n")) text += (await reader.read()).value;
    await reader.cancel();
    return JSON.parse(/data: (.*)/.exec(text)[1]);
  }, id);

/** Time on the main thread for opening a run, and for a change of one node: the counters of the browser itself. */
async function cost(chrome, server, id) {
  const first = await opened(chrome, server.of(id));
  const snapshot = await news(first, id);
  await first.context().close();
  const context = await chrome.newContext({ viewport: { width: 1600, height: 1000 } });
  await context.addInitScript(() => {
    window.EventSource = class {
      constructor() {
        window.stream = this;
      }
      addEventListener() {}
      close() {}
    };
  });
  const page = await context.newPage();
  await page.goto(server.of(id));
  await page.waitForFunction(() => window.stream?.onmessage);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const spent = async (metric) =>
    (await session.send("Performance.getMetrics")).metrics.find((one) => one.name === metric).value * 1000;
  const settle = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300))));
  const began = { task: await spent("TaskDuration"), script: await spent("ScriptDuration") };
  await page.evaluate((data) => window.stream.onmessage({ data: JSON.stringify(data) }), snapshot);
  await page.locator(".band").first().waitFor();
  await settle();
  const clock = await page.locator(".facts").innerText();
  const opening = { task: (await spent("TaskDuration")) - began.task, script: (await spent("ScriptDuration")) - began.script };
  const unfold = page.getByRole("button", { name: "Unfold all" });
  if (await unfold.count()) await unfold.click();
  await settle();
  const unfolded = { task: (await spent("TaskDuration")) - began.task, script: (await spent("ScriptDuration")) - began.script };
  const ids = Object.keys(snapshot.snapshot.nodes);
  const before = await spent("TaskDuration");
  const touched = await page.evaluate(
    async ([names, feed, from]) => {
      const found = new Set();
      const watch = new MutationObserver((records) => {
        for (const { target } of records) {
          const at = target.nodeType === 1 ? target : target.parentElement;
          const card = at.closest("[data-id]");
          if (card) found.add(card.dataset.id);
          else if (!at.closest(".filter, .facts, .link-state")) found.add(at.outerHTML.slice(0, 80));
        }
      });
      watch.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
      for (let turn = 0; turn < 50; turn++) {
        const number = from + 1 + turn;
        const changes = { nodes: { [names[7]]: { state: turn % 2 ? "failed" : "running" } } };
        window.stream.onmessage({ data: JSON.stringify({ feed, number, patches: [{ number, changes }] }) });
        await new Promise(requestAnimationFrame);
      }
      watch.disconnect();
      return [...found];
    },
    [ids, snapshot.feed, snapshot.number],
  );
  const update = ((await spent("TaskDuration")) - before) / 50;
  const state = await page.locator(`[data-id="${ids[7]}"]`).getAttribute("class");
  await context.close();
  return { nodes: ids.length, clock, opening, unfolded, update, touched, chosen: ids[7], state };
}

/** The smallest times of several openings: what else a machine does only adds to them. */
async function least(chrome, server, id) {
  const all = [];
  for (let turn = 0; turn < 3; turn++) all.push(await cost(chrome, server, id));
  const smallest = (of) => Math.min(...all.map(of));
  const times = (part) => ({ task: smallest((one) => one[part].task), script: smallest((one) => one[part].script) });
  return { ...all[0], opening: times("opening"), unfolded: times("unfolded"), update: smallest((one) => one.update) };
}

/** The server ends, and another one begins on its port. */
async function away(chrome, server, id) {
  const page = await opened(chrome, server.of(id));
  const status = page.locator(".link-state");
  await page.getByText("up to date").waitFor();
  const errors = seen.errors.length;
  await server.stop();
  await page.getByText("connection lost").waitFor();
  const lost = await status.innerText();
  const again = await start(server.address.port);
  const alert = page.getByRole("alert");
  await page.getByRole("button", { name: "Try now" }).click();
  await alert.waitFor();
  seen.away = { lost, alert: await alert.innerText(), cards: await page.locator(".card").count() };
  seen.errors.length = errors; // that connections fail is what happens here
  await page.context().close();
  return again;
}

const quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"];
const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
const chrome = await chromium.launch({ executablePath: program, args: [...quiet, ...sandbox] });
let server = await start(0);
try {
  await views(chrome, server.of(runs.asking), 1600, "light", true);
  await views(chrome, server.of(runs.asking), 1600, "dark", false);
  await views(chrome, server.of(runs.asking), 400, "light", false);
  await views(chrome, server.of(runs.asking), 400, "dark", true);
  await keys(chrome, server.of(runs.asking));
  await list(chrome, String(server.address));
  const large = await opened(chrome, server.of(runs.large));
  await large.locator(".band").first().waitFor();
  await look(large, "large-1600-light");
  await large.context().close();
  await low(chrome, server.of(runs.listed));
  await answers(chrome, server.of(runs.asking));
  await actions(chrome, server);
  seen.cost = { hundred: await least(chrome, server, runs.hundred), thousand: await least(chrome, server, runs.thousand) };
  server = await away(chrome, server, runs.hundred);
  console.log(JSON.stringify(seen));
} finally {
  await chrome.close();
  await server.stop();
}

// A person who opens the live view at the Inspector's page. argv: playwright-core's index.mjs, Chromium, the page's
// address, a folder for what the browser shows or "". Prints the command and the state that the view has shown, as JSON.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [library, browser, address, shots] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(library));
const quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"];
const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
const chrome = await chromium.launch({ executablePath: browser, args: [...quiet, ...sandbox] });

/** The frame of the view, which the Inspector puts into frames of its own. */
async function view(page) {
  for (;;) {
    for (const frame of page.frames()) {
      if (await frame.locator(".card").count().catch(() => 0)) return frame;
    }
    await page.waitForTimeout(100);
  }
}

try {
  const page = await chrome.newPage({ viewport: { width: 1600, height: 1200 } });
  page.setDefaultTimeout(30_000);
  await page.goto(address);
  await page.getByRole("switch").first().press("Space"); // the input of a switch is as good as invisible
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByText("Apps", { exact: true }).first().click();
  await page.getByText("run", { exact: true }).first().click();
  await page.getByRole("textbox", { name: "command", exact: true }).fill("/wait");
  await page.getByRole("button", { name: "Open App" }).click();
  const frame = await Promise.race([view(page), new Promise((_, no) => setTimeout(no, 40_000, new Error("no view")))]);
  await frame.locator(".card.s-running").waitFor();
  if (shots) await page.screenshot({ path: join(shots, "app-inspector.png") });
  await frame.getByRole("button", { name: "Cancel run" }).click();
  await frame.getByRole("button", { name: "Cancel and roll back" }).click();
  await frame.locator(".chip.big.s-cancelled").waitFor();
  const seen = { command: await frame.locator("h1").innerText(), state: await frame.locator(".chip.big").innerText() };
  console.log(JSON.stringify(seen));
} finally {
  await chrome.close();
}

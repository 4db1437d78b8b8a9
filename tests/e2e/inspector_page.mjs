// A person at the Inspector's page. argv: playwright-core's index.mjs, Chromium, the page's address, and the calls as
// JSON: [{tool, fields: {name: text}, ticked: [name]}]. Prints what the page shows of each answer, as a JSON list.
import { pathToFileURL } from "node:url";

const [library, browser, address, calls] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(library));
const quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"];
const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
const chrome = await chromium.launch({ executablePath: browser, args: [...quiet, ...sandbox] });
try {
  const page = await chrome.newPage({ viewport: { width: 1600, height: 1200 } });
  page.setDefaultTimeout(30_000);
  await page.goto(address);
  await page.getByRole("switch").first().press("Space"); // the input of a switch is as good as invisible
  await page.getByText("Connected", { exact: true }).waitFor();
  await page.getByText("Tools", { exact: true }).first().click();
  const answers = [];
  for (const { tool, fields, ticked } of JSON.parse(calls)) {
    await page.getByText(tool, { exact: true }).first().click();
    for (const [name, text] of Object.entries(fields)) {
      await page.getByRole("textbox", { name, exact: true }).fill(text);
    }
    for (const name of ticked) {
      await page.getByRole("checkbox", { name, exact: true }).check({ force: true });
    }
    await page.getByRole("button", { name: "Execute Tool" }).click();
    await page.getByRole("heading", { name: "Results" }).waitFor();
    const shown = page.locator(".ace_content").first();
    await shown.getByText("}").last().waitFor();
    answers.push(await shown.innerText());
    await page.getByRole("button", { name: "Close results" }).click();
  }
  console.log(JSON.stringify(answers));
} finally {
  await chrome.close();
}

// Asks the Agent SDK at argv[2] for one prompt, argv[3]; its options come as JSON on stdin. Prints a message a line.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { query } = await import(pathToFileURL(process.argv[2]));
const options = JSON.parse(readFileSync(0, "utf8"));
for await (const message of query({ prompt: process.argv[3], options })) {
  console.log(JSON.stringify(message));
}

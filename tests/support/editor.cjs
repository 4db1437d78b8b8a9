// Asks the language service of VS Code what it marks and completes in one file: a request on stdin, the answer on stdout.
const { getLanguageService, TextDocument } = require("vscode-json-languageservice");

async function main(request) {
  const service = getLanguageService({ schemaRequestService: () => Promise.reject("nothing is fetched") });
  service.configure({ validate: true, schemas: [{ uri: "schema", fileMatch: ["*.json"], schema: request.schema }] });
  const document = TextDocument.create("file:///one.json", "json", 1, request.text);
  const parsed = service.parseJSONDocument(document);
  const marked = await service.doValidation(document, parsed);
  const found = { marked: marked.map((one) => ({ message: one.message, severity: one.severity, text: document.getText(one.range) })) };
  if (request.cursor !== undefined) {
    const list = await service.doComplete(document, document.positionAt(request.cursor), parsed);
    found.completed = list.items.map((one) => one.label);
  }
  return found;
}

let input = "";
process.stdin.on("data", (data) => (input += data));
process.stdin.on("end", () => main(JSON.parse(input)).then((found) => process.stdout.write(JSON.stringify(found))));

// The host's side of MCP Apps, as its official library has it: a frame without rights, and calls that are passed on.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

type Passed = (params: unknown) => Promise<any>;
declare global {
  interface Window {
    callTool: Passed;
    readResource: Passed;
    said: string[];
    show(html: string): Promise<void>;
    tell(what: "input" | "result", params: any): Promise<void>;
    leave(): Promise<unknown>;
  }
}

let bridge: AppBridge;
window.said = [];
window.show = async (html) => {
  const frame = document.createElement("iframe");
  frame.sandbox.add("allow-scripts");
  frame.width = "820";
  frame.height = "900";
  document.body.replaceChildren(frame);
  const info = { name: "a host", version: "1" };
  const context = {
    theme: "dark" as const,
    displayMode: "inline" as const,
    availableDisplayModes: ["inline" as const],
    styles: { variables: { "--color-background-primary": "#102030" } },
  };
  bridge = new AppBridge(null, info, { serverTools: {}, serverResources: {} }, { hostContext: context as any });
  bridge.oncalltool = (async (params: any) => {
    window.said.push(`call ${params.name}`);
    return window.callTool(params);
  }) as any;
  bridge.onreadresource = (async (params: any) => {
    window.said.push("read");
    return window.readResource(params);
  }) as any;
  bridge.onsizechange = (({ height }: { height?: number }) => window.said.push(`height ${Number(height) > 100}`)) as any;
  const ready = new Promise<void>((done) => (bridge.oninitialized = () => done()));
  await bridge.connect(new PostMessageTransport(frame.contentWindow!, frame.contentWindow!));
  frame.srcdoc = html;
  await ready;
};
window.tell = async (what, params) => {
  if (what === "input") await bridge.sendToolInput(params);
  else await bridge.sendToolResult(params);
};
window.leave = () => bridge.teardownResource({});

/** The page: a run, or the list of runs, depending on the address; inside a host of MCP Apps always one run. */
import { signal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { host } from "./links/host";
import { loopback } from "./links/loopback";
import { chosen, filter, head, scope } from "./model";
import { follow, RunPage } from "./run";
import { RunsPage } from "./runs";

const RUN = /^(.*\/)runs\/([^/]+)\/?$/;

function browser() {
  const found = RUN.exec(location.pathname);
  const base = found ? found[1]! : location.pathname.replace(/\/?$/, "/");
  const link = loopback(base);
  const run = signal<string | null>(found ? decodeURIComponent(found[2]!) : null);
  // The token has done its work: it must not stay in the history.
  history.replaceState(null, "", location.pathname);
  addEventListener("popstate", () => {
    const there = RUN.exec(location.pathname);
    run.value = there ? decodeURIComponent(there[2]!) : null;
  });
  const go = (id: string | null): void => {
    history.pushState(null, "", id === null ? base : `${base}runs/${encodeURIComponent(id)}`);
    run.value = id;
    scrollTo(0, 0);
  };

  function Page() {
    const id = run.value;
    useEffect(() => {
      document.title = id === null ? "Runs" : `Run ${id}`;
      if (id === null) return;
      head.value = null;
      chosen.value = null;
      scope.value = "";
      filter.value = "";
      return follow(link, id);
    }, [id]);
    return id === null ? <RunsPage link={link} open={go} /> : <RunPage link={link} home={() => go(null)} />;
  }
  return <Page />;
}

const root = document.getElementById("app")!;
if (window.parent === window) {
  render(browser(), root);
} else {
  document.documentElement.classList.add("hosted");
  const link = host(window.parent, (id) => follow(link, id));
  render(<RunPage link={link} />, root);
}

import type { Present } from "@orrery/contracts";
import fc from "fast-check";
import { type PresenceNews, PresenceView } from "../src/presence-view.ts";

const present = (name: string, since = "2026-01-01T00:00:00.000Z"): Present => ({
  satellite: `driver:${name}`,
  role: "driver",
  id: name,
  since,
});
const change = (kind: "came" | "went", name: string) => ({ kind, ...present(name) });
const said = (news: readonly PresenceNews[]) => news.map(({ kind, satellite: { id } }) => `${kind} ${id}`);

it("a first snapshot, in pages, tells of all that are there; changes tell what they say", () => {
  const view = new PresenceView();
  view.begin();
  expect(said(view.add([present("a"), present("b")]))).toEqual(["came a", "came b"]);
  expect(said(view.add([present("c")]))).toEqual(["came c"]);
  expect(said(view.change(change("came", "d")))).toEqual(["came d"]);
  expect(said(view.change(change("went", "a")))).toEqual(["went a"]);
  expect(view.isMissing).toBe(false);
});

it("a later snapshot tells of who is new at once, and of who is missing only when they are given up", () => {
  const view = new PresenceView();
  view.begin();
  view.add([present("stays"), present("back"), present("gone")]);
  view.begin();
  expect(said(view.add([present("new"), present("stays", "2026-01-02T00:00:00.000Z")]))).toEqual([
    "came new",
  ]);
  expect(said(view.change(change("came", "back")))).toEqual([]);
  expect(view.isMissing).toBe(true);
  expect(said(view.giveUp())).toEqual(["went gone"]);
  expect([view.isMissing, said(view.giveUp())]).toEqual([false, []]);
});

it("who went while a snapshot was read is told of once", () => {
  const view = new PresenceView();
  view.begin();
  view.add([present("a"), present("b")]);
  view.begin();
  expect(said(view.change(change("went", "b")))).toEqual(["went b"]);
  expect(said(view.change(change("went", "z")))).toEqual([]); // told of in a page that did not come
  view.add([present("a")]);
  expect([view.isMissing, said(view.giveUp())]).toEqual([false, []]);
});

it("whatever the hub says in whatever order, came and went take turns, and in the end the user knows who is there", () => {
  const name = fc.constantFrom("a", "b", "c", "d", "e");
  const command = fc.oneof(
    fc.record({ do: fc.constantFrom("come" as const, "go" as const), name }),
    // `unseen`: comes and goes while the connection is lost.
    fc.record({ do: fc.constant("reconnect" as const), unseen: fc.uniqueArray(name) }),
    fc.record({ do: fc.constantFrom("page" as const, "time" as const) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
      const view = new PresenceView();
      const there = new Set<string>();
      const told = new Set<string>();
      /** The pages of the snapshot that were read; two names each. */
      let readThrough: string | undefined = "";
      const tell = (news: readonly PresenceNews[]) => {
        for (const { kind, satellite } of news) {
          expect(told.has(satellite.id)).toBe(kind === "went");
          if (kind === "came") told.add(satellite.id);
          else told.delete(satellite.id);
        }
      };
      const toggle = (one: string) => (there.has(one) ? there.delete(one) : there.add(one));
      const page = () => {
        if (readThrough === undefined) return;
        const behind = [...there].sort().filter((one) => one > (readThrough as string));
        tell(view.add(behind.slice(0, 2).map((one) => present(one))));
        readThrough = behind.length > 2 ? behind[1] : undefined;
      };
      view.begin();
      for (const one of commands) {
        if (one.do === "reconnect") {
          for (const unseen of one.unseen) toggle(unseen);
          view.begin();
          readThrough = "";
        } else if (!("name" in one)) {
          if (one.do === "page") page();
          else if (readThrough === undefined) tell(view.giveUp());
        } else if (there.has(one.name) === (one.do === "go")) {
          toggle(one.name);
          tell(view.change(change(one.do === "come" ? "came" : "went", one.name)));
        }
      }
      while (readThrough !== undefined) page();
      tell(view.giveUp());
      expect([...told].sort()).toEqual([...there].sort());
    }),
  );
});

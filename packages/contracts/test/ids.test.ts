import { uuidv7Source } from "../src/ids.ts";

it("makes UUIDs of version 7 that carry their time and do not repeat", () => {
  const nowMs = Date.UTC(2026, 10, 22, 15, 0, 0);
  const nextId = uuidv7Source(() => nowMs);
  const ids = Array.from({ length: 10_000 }, nextId);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(Number.parseInt((ids[0] as string).replace("-", "").slice(0, 12), 16)).toBe(nowMs);
  expect(new Set(ids).size).toBe(ids.length);
});

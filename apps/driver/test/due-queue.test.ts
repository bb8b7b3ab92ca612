import { DueQueue } from "../src/due-queue.ts";

describe("a queue of what is due", () => {
  it("gives the earliest first, and what is due at the same time in the order of its addition", () => {
    const queue = new DueQueue<number>();
    const dues = Array.from({ length: 1_000 }, (_, place) => (place * 7_919) % 101);
    dues.forEach((dueMs, place) => {
      queue.add(dueMs, place);
    });
    const taken: number[] = [];
    for (let item = queue.takeDue(100); item !== undefined; item = queue.takeDue(100)) taken.push(item);
    const places = dues.map((_due, place) => place);
    expect(taken).toEqual(places.sort((a, b) => (dues[a] as number) - (dues[b] as number) || a - b));
  });

  it("keeps what is not due yet, and says when it is", () => {
    const queue = new DueQueue<string>();
    expect(queue.nextMs).toBeUndefined();
    queue.add(20, "later");
    queue.add(10, "soon");
    expect(queue.nextMs).toBe(10);
    expect([queue.takeDue(9), queue.takeDue(10), queue.takeDue(19)]).toEqual([undefined, "soon", undefined]);
    expect(queue.nextMs).toBe(20);
    queue.clear();
    expect(queue.takeDue(20)).toBeUndefined();
  });
});

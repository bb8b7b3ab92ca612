/** Which events of one contract are wanted: by name, each whole or only where it concerns one of some rooms. */
export interface Filter {
  readonly contract: string;
  readonly events: ReadonlyMap<string, "all" | ReadonlySet<string>>;
}

export function isWanted(
  { contract, events }: Filter,
  event: { readonly contract: string; readonly event: string; readonly rooms: readonly string[] },
): boolean {
  if (event.contract !== contract) return false;
  const rooms = events.get(event.event);
  return rooms === "all" || (rooms !== undefined && event.rooms.some((room) => rooms.has(room)));
}

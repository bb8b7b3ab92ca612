/** A list in parts of so many, in its order. */
export function* slicesOf<Item>(list: readonly Item[], most: number): Iterable<readonly Item[]> {
  for (let first = 0; first < list.length; first += most) yield list.slice(first, first + most);
}

export interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

const place = (latitude: number, longitude: number): Place => ({ latitude, longitude });

/** The capitals of Brazil's states, where the recorded orders go. */
const capitals: ReadonlyMap<string, Place> = new Map([
  ["AC", place(-9.97, -67.81)],
  ["AL", place(-9.67, -35.74)],
  ["AM", place(-3.12, -60.02)],
  ["AP", place(0.03, -51.07)],
  ["BA", place(-12.97, -38.5)],
  ["CE", place(-3.73, -38.53)],
  ["DF", place(-15.79, -47.88)],
  ["ES", place(-20.32, -40.34)],
  ["GO", place(-16.69, -49.26)],
  ["MA", place(-2.53, -44.3)],
  ["MG", place(-19.92, -43.94)],
  ["MS", place(-20.44, -54.65)],
  ["MT", place(-15.6, -56.1)],
  ["PA", place(-1.46, -48.5)],
  ["PB", place(-7.12, -34.86)],
  ["PE", place(-8.05, -34.88)],
  ["PI", place(-5.09, -42.8)],
  ["PR", place(-25.43, -49.27)],
  ["RJ", place(-22.91, -43.17)],
  ["RN", place(-5.79, -35.21)],
  ["RO", place(-8.76, -63.9)],
  ["RR", place(2.82, -60.67)],
  ["RS", place(-30.03, -51.23)],
  ["SC", place(-27.6, -48.55)],
  ["SE", place(-10.91, -37.07)],
  ["SP", place(-23.55, -46.63)],
  ["TO", place(-10.18, -48.33)],
]);

/** São Paulo, where most of the recorded vendors are. */
export const depot = place(-23.55, -46.63);

/** Where a customer of the state is, roughly; undefined for a state that is not known. */
export const placeOf = (state: string): Place | undefined => capitals.get(state);

/** Where somebody is after `elapsedMs` who goes straight on and has `leftMs`, counted from `at`, to be there. */
export function onTheWay(at: Place, to: Place, elapsedMs: number, leftMs: number): Place {
  const part = leftMs <= elapsedMs ? 1 : elapsedMs / leftMs;
  const between = (from: number, until: number) => Number((from + (until - from) * part).toFixed(4));
  return place(between(at.latitude, to.latitude), between(at.longitude, to.longitude));
}

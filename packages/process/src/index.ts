export { EnvironmentError, readEnvironment } from "./environment.ts";
export { type Running, type RunOptions, runProcess } from "./run-process.ts";
export { portVariable, positiveVariable, urlVariable, variable } from "./variables.ts";

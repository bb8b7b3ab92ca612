import { fileURLToPath } from "node:url";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

/** The one jest preset. A workspace's `jest.config.mjs` re-exports it. */
export default {
  testEnvironment: here("./leak-environment.mjs"),
  extensionsToTreatAsEsm: [".ts"],
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  testTimeout: 30_000,
  testEnvironmentOptions: { customExportConditions: ["@orrery/source", "node", "node-addons"] },
  transform: {
    "^.+\\.ts$": [here("./ts-jest-checked.cjs"), { useESM: true, tsconfig: "<rootDir>/tsconfig.jest.json" }],
  },
};

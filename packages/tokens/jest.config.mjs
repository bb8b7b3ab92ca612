export { default } from "@orrery/tooling/jest";

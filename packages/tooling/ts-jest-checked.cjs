// Jest >= 30.4 loads ES modules through a transformer's sync `process` when there is one, and ts-jest's sync path
// drops diagnostics in ESM mode. Offering only the async half makes Jest use it, and that half throws.
const tsJest = require("ts-jest").default;

module.exports = {
  createTransformer(options) {
    const inner = tsJest.createTransformer(options);
    return {
      canInstrument: false,
      getCacheKey: (...args) => inner.getCacheKey(...args),
      getCacheKeyAsync: (...args) => inner.getCacheKeyAsync(...args),
      processAsync: (...args) => inner.processAsync(...args),
    };
  },
};

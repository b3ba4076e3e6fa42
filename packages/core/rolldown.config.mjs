// One file instead of fifty: most of what it costs to import this package is finding and opening its modules. The types stay as they are.
export default {
  input: { index: "dist/index.js", conformance: "dist/conformance/index.js" },
  platform: "node",
  logLevel: "warn",
  output: { dir: "dist/bundle", format: "esm", chunkFileNames: "[name].js", sourcemap: true },
};

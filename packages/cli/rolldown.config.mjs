// What `dlock torture` runs is tooling that is not published by itself: it goes into the files of this package.
export default {
  input: { main: "src/main.ts", index: "src/index.ts", worker: "@dlock-tooling/torture/worker" },
  platform: "node",
  external: ["commander", /^@dlock\//],
  resolve: { extensionAlias: { ".js": [".ts", ".js"] } },
  treeshake: { moduleSideEffects: false },
  logLevel: "warn",
  output: { dir: "dist/bundle", format: "esm", chunkFileNames: "[name].js", sourcemap: true, cleanDir: true },
};

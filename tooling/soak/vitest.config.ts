import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// What is retained is known after a collection only. The tests run built programs, and measure these: one file at a time.
export default mergeConfig(shared, {
  test: { execArgv: ["--expose-gc"], globalSetup: "test/support/build.ts", fileParallelism: false },
});

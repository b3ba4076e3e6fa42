import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// What is retained is known after a collection only.
export default mergeConfig(shared, {
  test: { execArgv: ["--expose-gc"], globalSetup: "test/support/build.ts" },
});

import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// The tests run the built command, whose workers are processes: two runs at a time leave them enough of two cores.
export default mergeConfig(shared, { test: { globalSetup: "test/support/build.ts", maxConcurrency: 2 } });

import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// The tests run the built demo, whose workers are processes.
export default mergeConfig(shared, { test: { globalSetup: "test/support/build.ts" } });

import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// The tests run the built command, whose workers are processes.
export default mergeConfig(shared, { test: { globalSetup: "test/support/build.ts" } });

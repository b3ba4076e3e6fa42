import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// The tests run the built command as people do.
export default mergeConfig(shared, { test: { globalSetup: "test/support/build.ts" } });

import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// Tests of leaks ask for a garbage collection.
export default mergeConfig(shared, { test: { execArgv: ["--expose-gc"] } });

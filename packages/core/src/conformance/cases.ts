/** All cases, in the order of the rules. */
import { attempt } from "./cases/attempt.js";
import { batch } from "./cases/batch.js";
import { bounded } from "./cases/bounded.js";
import { bytes } from "./cases/bytes.js";
import { exclusion } from "./cases/exclusion.js";
import { extend } from "./cases/extend.js";
import { idempotence } from "./cases/idempotence.js";
import { queue } from "./cases/queue.js";
import { races } from "./cases/races.js";
import { readOnly } from "./cases/read-only.js";
import { refusal } from "./cases/refusal.js";
import { release } from "./cases/release.js";
import { time } from "./cases/time.js";
import { tokens } from "./cases/tokens.js";
import { views } from "./cases/views.js";
import { watch } from "./cases/watch.js";
import type { ConformanceCase } from "./types.js";

/** Every conformance case: data, for runners that `runConformance` does not fit. */
export const cases: readonly ConformanceCase[] = [
  ...attempt,
  ...exclusion,
  ...races,
  ...idempotence,
  ...time,
  ...tokens,
  ...bounded,
  ...extend,
  ...release,
  ...batch,
  ...bytes,
  ...readOnly,
  ...queue,
  ...views,
  ...refusal,
  ...watch,
];

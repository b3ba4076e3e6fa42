/** Processes with locks in MySQL end after close(). */
import { startMysql } from "@dlock-tooling/services";
import { endsWhateverHappens, ofOne } from "./support/exit.ts";

endsWhateverHappens("mysql", () => ofOne(startMysql()));

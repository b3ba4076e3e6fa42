/** What the words of gRPC mean where no server can be made to say them at will. */
import { describe, expect, it } from "vitest";
import { failureOf } from "../src/failures.ts";

describe("a call that ends with CANCELLED", () => {
  const ended = (details: string) => failureOf(Object.assign(new Error(`1 CANCELLED: ${details}`), { code: 1, details }), "member:2379");

  it("by the driver that is closed is over", () => {
    expect(ended("Cancelled on client")).toMatchObject({ applied: "unknown", reaction: "final" });
  });

  it("by nobody is one whose connection broke, as when a member dies", () => {
    expect(ended("Call cancelled")).toMatchObject({ applied: "unknown", reaction: "wait" });
  });
});

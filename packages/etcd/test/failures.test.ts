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

describe("a connection that cannot be made because the other end hangs up", () => {
  it("may be one that speaks TLS with who does not, or the other way round, and both are said", () => {
    const details = "No connection established. Last error: Error: read ECONNRESET. Resolution note: ";
    const { applied, reaction, message } = failureOf(Object.assign(new Error(details), { code: 14, details }), "member:2379");
    expect({ applied, reaction }).toEqual({ applied: "no", reaction: "elsewhere" });
    for (const part of ["member:2379", "if it does not speak TLS there", "if it does and this client does not"])
      expect(message).toContain(part);
  });
});

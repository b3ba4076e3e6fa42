/** What backends have in common about their URLs. */

/**
 * The text that a percent-encoded part of a URL stands for, such as `url.password`.
 *
 * @param what how the part is named in the error: `the password in the URL`.
 * @throws RangeError that names the part and shows nothing of it, nor has a cause that does: it may be a secret.
 */
export function decodeUrlPart(what: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new RangeError(`${what} is not percent-encoded UTF-8: write a % that stands for itself as %25`);
  }
}

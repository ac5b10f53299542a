/** Text that comes from peers, registries or programs, and goes to a terminal. */

/** No control characters, and nothing that moves the cursor, renames the window or changes the writing direction. */
export function printableText(text: string): string {
  return text.replace(UNPRINTABLE, (sign) => (sign === '\t' ? sign : '\uFFFD'))
}

/** Control, format (bidirectional overrides among them), surrogate and private-use characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu

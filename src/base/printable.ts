/** Text that comes from peers, registries or programs, and goes to a terminal. */

/** No control characters, and nothing that moves the cursor, renames the window or changes the writing direction. */
export function printableText(text: string): string {
  return text.replace(UNPRINTABLE, (sign) => (sign === '\t' ? sign : '\uFFFD'))
}

/** Control, format (bidirectional overrides among them), surrogate and private-use characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu

/** At spaces, into lines of at most `width`; a longer word has a line of its own. Never empty. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/**
 * Citations of docs/protocol, as code and documents write them: `stream.md Q12`, `tunnel.md §6.4`, `addressing §3`,
 * `stream.md Q1 to Q3`, `tunnel.md §2 to §5`. Pure: files in, faults out.
 */

export type Pages = ReadonlyMap<string, string> // name without .md → text

/** @returns One line for each citation that leads nowhere. */
export function danglingCitations(files: ReadonlyMap<string, string>, pages: Pages): string[] {
  const anchors = new Map([...pages].map(([name, text]) => [name, anchorsOf(text)]))
  return [...files].flatMap(([path, text]) =>
    citationsOf(text).flatMap(({ page, anchor, line }) => {
      const name = page === 'addressing' ? 'addressing-and-packets' : page
      if (anchors.get(name)?.has(anchor) === true) return []
      return [`${path}:${line}: docs/protocol/${name}.md has no ${anchor}`]
    }),
  )
}

/** Every pair of a page and a place in it that a text names. */
export function citationsOf(text: string): { page: string; anchor: string; line: number }[] {
  return [...text.matchAll(CITATION)].flatMap((match) => {
    const line = text.slice(0, match.index).split('\n').length
    return [...match[2]!.matchAll(/(?:§|\b[QUG])\d+(?:\.\d+)*/g)].map(([anchor]) => ({ page: match[1]!, anchor, line }))
  })
}

/** §n of each numbered heading, and Qn, Un, Gn of each row or heading that starts with it. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  for (const line of page.split('\n')) {
    const section = /^#{2,4} (\d+(?:\.\d+)*)\.? /.exec(line)?.[1]
    if (section !== undefined) anchors.add(`§${section}`)
    const quirk = /^(?:\| |#{2,4} )([QUG]\d+)\b/.exec(line)?.[1]
    if (quirk !== undefined) anchors.add(quirk)
  }
  return anchors
}

const PAGE =
  '(addressing-and-packets|addressing|tunnel|stream|registry|trust|services|ipc|gateway-reference|today|extensions)'
const PLACE = '(?:§\\d+(?:\\.\\d+)*|[QUG]\\d+)'
/** Line breaks, and the star of a comment, may stand between the parts. */
const GAP = '(?:\\s+(?:[*/]+\\s+)?)'
const CITATION = new RegExp(`\\b${PAGE}(?:\\.md)?\\)?${GAP}(${PLACE}(?:(?:,|${GAP}(?:to|and|or))${GAP}${PLACE})*)`, 'g')

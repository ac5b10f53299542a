/**
 * Patterns of English that a native speaker would not write, over comments, documents and what users read. Not a
 * grammar: only what this code has had often. How many of each are left may only fall (english.json).
 */

/** What is looked for, and what to write instead. */
export const PATTERNS: Readonly<Record<string, { readonly pattern: RegExp; readonly instead: string }>> = {
  'trying on': { pattern: /\btr(?:ying|ies|y) on\b/g, instead: 'retrying' },
  'so often / so long / so much': {
    pattern: /\b(?:looked at|repeated|asked|waits?|tried) so (?:often|long|much)\b|\bso often\b/g,
    instead: '"how often …", "every n ms"',
  },
  'is no / are no': {
    pattern:
      /(?<!\b[Tt]here )(?<!\b[Ii]f )\b(?:is|are) no (?!longer|more|less|need|other|doubt|different|better|worse|harm)[a-z]+/g,
    instead: '"is not a …"',
  },
  anew: { pattern: /\banew\b/g, instead: '"again", "a new one"' },
  shall: { pattern: /\bshall\b/g, instead: '"must", "should", or the present tense' },
  'he, his': { pattern: /\b(?:he|his|him|himself)\b/g, instead: '"it", "its", or the noun' },
  whoever: { pattern: /\bwho(?:so)?ever\b/g, instead: '"anyone who", or the role' },
  told: {
    pattern: /\b(?:is|are|was|were|be|been|not|what) told\b|\btold (?:apart|by hand)\b/g,
    instead: '"reported", "notified", "distinguished"',
  },
  'hears of': { pattern: /\bhears? of\b/g, instead: '"is notified of"' },
  'does not read': { pattern: /\b(?:do|does|did) not read(?=[.,;:)]|$)/g, instead: '"cannot be parsed"' },
  'for ever': { pattern: /\bfor ever\b/g, instead: '"forever", "indefinitely"' },
  straight: { pattern: /\b(?:a |the )?straight(?: way| ones)?\b/g, instead: '"direct", "direct path"' },
  'at the most': { pattern: /\bat the most\b/g, instead: '"at most"' },
  'some 8': { pattern: /\bsome \d+/g, instead: '"about"' },
  'as good as': { pattern: /\bas good as\b/g, instead: '"almost", "nearly"' },
  'goes on': { pattern: /(?<!comes or )\b(?:go|goes|went) on\b(?! to\b)/g, instead: '"continues"' },
  'nobody, somebody': { pattern: /\b[NnSs]o(?:me)?body\b/g, instead: 'the role, "no one", "someone"' },
  anybody: { pattern: /\b[Aa]nybody\b/g, instead: '"anyone", or the role' },
  'gives way': { pattern: /\bg(?:ive|ives|ave|iving) way\b/g, instead: '"is evicted", "yields"' },
  'said again': { pattern: /\bsa(?:y|ys|id) again\b/g, instead: '"repeated"' },
  'makes no sense': { pattern: /\bmakes? no sense\b/g, instead: '"is malformed", "is invalid"' },
  'all the same': { pattern: /\ball the same\b(?= *[.,;:)]|$)/gm, instead: '"anyway", "still"' },
  'by itself': { pattern: /\bby (?:itself|themselves)\b/g, instead: '"on its own", "automatically"' },
  'lets in': { pattern: /\blets? in\b/g, instead: '"admits"' },
  'stands in, beside': {
    pattern: /\bst(?:and|ands|ood) (?:at|beside|between|behind|there)\b/g,
    instead: '"is at", "follows", "comes before"',
  },
  'in clear': { pattern: /\bin clear\b/g, instead: '"in the clear"' },
  doubled: { pattern: /\b(?:or|and) doubled\b|\bdoubled (?:and|packets?|segments?)\b/g, instead: '"duplicated"' },
  'handed in': { pattern: /\bhand(?:s|ed)? in\b/g, instead: '"passed in"' },
  'for so long': { pattern: /\b(?:for|after) so (?:long|many)\b(?! that)/g, instead: '"for this long", "after n ms"' },
  'another than': { pattern: /\banother (?:\w+ ){1,2}than\b/g, instead: '"other than", "different from"' },
}

export type Counts = Readonly<Record<string, number>>

/** @returns How often each pattern is found in the prose of these files. */
export function countPatterns(files: ReadonlyMap<string, string>): Counts {
  const prose = [...files].map(([path, text]) => (path.endsWith('.md') ? proseOf(text) : proseOfSource(text)))
  return Object.fromEntries(
    Object.entries(PATTERNS).map(([name, { pattern }]) => [
      name,
      prose.reduce((sum, text) => sum + (text.match(pattern)?.length ?? 0), 0),
    ]),
  )
}

/** Where a pattern is found: `path:line: words`. */
export function findPattern(files: ReadonlyMap<string, string>, name: string): string[] {
  return [...files].flatMap(([path, text]) => {
    const prose = path.endsWith('.md') ? proseOf(text) : proseOfSource(text)
    return [...prose.matchAll(PATTERNS[name]!.pattern)].map(
      ({ index, 0: words }) => `${path}:${prose.slice(0, index).split('\n').length}: ${words}`,
    )
  })
}

/** A document without its code; lines stay where they are. */
function proseOf(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```/gm, blank).replaceAll(/`[^`\n]*`/g, blank)
}

/** The comments and the strings of a source: everything that is not code. */
function proseOfSource(text: string): string {
  const pieces = /\/\*[\s\S]*?\*\/|(?<!:)\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\\n])*"/g
  let prose = ''
  let at = 0
  for (const { index, 0: piece } of text.matchAll(pieces)) {
    prose += blank(text.slice(at, index)) + piece
    at = index + piece.length
  }
  return prose + blank(text.slice(at))
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}

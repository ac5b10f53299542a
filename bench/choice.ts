/** The benchmark's command line, and what it selects. Pure. */
import { PEERS, PLACES, ROWS } from './rows.ts'
import type { PeerId, Place } from './rows.ts'
import { FULL, QUICK } from './scale.ts'
import type { Scale } from './scale.ts'

export interface Choice {
  readonly scale: Scale
  readonly only: readonly string[]
  readonly out: string | undefined
  readonly peers: ReadonlySet<PeerId>
  hasPlace(place: Place): boolean
  /** @param rows the rows a step yields. */
  hasRows(rows: readonly string[]): boolean
}

/** @throws Error with what is wrong, for people. */
export function readChoice(args: readonly string[]): Choice {
  let [scale, only, out]: [Scale, string[], string | undefined] = [FULL, [], undefined]
  for (let i = 0; i < args.length; i++) {
    const [flag, value] = args[i]!.split('=', 2) as [string, string | undefined]
    const next = (): string => {
      const found = value ?? args[++i]
      if (found === undefined) throw new Error(`${flag} needs a value`)
      return found
    }
    if (flag === '--quick') scale = QUICK
    else if (flag === '--only')
      only = next()
        .split(',')
        .filter((word) => word !== '')
    else if (flag === '--out') out = next()
    else throw new Error(`unknown option ${flag}; there are --quick, --only ROW-OR-WAY,… and --out FOLDER`)
  }
  const unknown = only.filter((word) => !WORDS.has(word))
  if (unknown.length > 0)
    throw new Error(`--only: there is no ${unknown.join(', ')}; there are ${[...WORDS].join(', ')}`)
  const [peers, places, rows] = [
    only.filter((word) => PEER_WORDS.has(word)) as PeerId[],
    only.filter((word) => word in PLACES && !ROW_WORDS.has(word)),
    only.filter((word) => ROW_WORDS.has(word)),
  ]
  return {
    scale,
    only,
    out,
    peers: new Set(peers.length > 0 ? peers : ([...PEER_WORDS] as PeerId[])),
    hasPlace: (place) =>
      places.length === 0 || places.some((word) => place === word || (word === 'veth' && place.startsWith('veth'))),
    hasRows: (ids) => rows.length === 0 || ids.some((id) => rows.includes(id)),
  }
}

const PEER_WORDS: ReadonlySet<string> = new Set(PEERS.map(({ id }) => id))
const ROW_WORDS: ReadonlySet<string> = new Set(ROWS.map(({ id }) => id.split(':')[0]!))
const WORDS: ReadonlySet<string> = new Set([...ROW_WORDS, ...PEER_WORDS, ...Object.keys(PLACES)])

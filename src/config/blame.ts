/** Which entry of the file is to blame for an error that only shows when all of them are put together. */
import { LineCounter, parseDocument } from 'yaml'
import { PilotError } from '../base/errors.ts'
import { positionOf } from './explain.ts'
import type { LoadedConfig } from './load.ts'
import type { Config } from './schema.ts'

type Path = readonly (string | number)[]

/**
 * The same error, with `file:line:column: key:` in front. Unchanged if the file alone would be valid: then a flag, a
 * variable or a command is to blame.
 * @param check throws what is wrong with a configuration.
 */
export function blamed(error: PilotError, file: LoadedConfig | undefined, check: (config: Config) => void): PilotError {
  if (file?.text === undefined || file.file === undefined) return error
  const path = culprit(file.config, error, check)
  if (path === undefined) return error
  const lines = new LineCounter()
  const doc = parseDocument(file.text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent', merge: true })
  const place = positionOf(path, doc, lines)
  return new PilotError(
    error.code,
    `${file.file}:${place.line}:${place.column}: ${place.path}: ${error.message}`,
    { ...error.details, file: file.file, problems: [{ ...place, message: error.message }] },
    error,
    error.hint,
  )
}

/** The first entry with which the file is wrong: an entry that is added never corrects another. */
function culprit(config: Config, { message }: PilotError, check: (config: Config) => void): Path | undefined {
  const fails = (part: Config): boolean => {
    try {
      check(part)
      return false
    } catch (error) {
      if (error instanceof PilotError) return true
      throw error
    }
  }
  const { map, expose, http, proxy, dns, ...rest } = config
  const bare: Config = { ...rest, map: [], expose: [] }
  if (fails(bare)) return undefined
  for (const [key, entries] of [
    ['map', map],
    ['expose', expose],
  ] as const) {
    const failsWith = (count: number): boolean => fails({ ...bare, [key]: entries.slice(0, count) })
    if (!failsWith(entries.length)) continue
    let [valid, invalid] = [0, entries.length]
    while (invalid - valid > 1) {
      const middle = (valid + invalid) >> 1
      if (failsWith(middle)) invalid = middle
      else valid = middle
    }
    const entry = entries[invalid - 1]!
    const field = FIELDS.find(([pattern, name]) => pattern.test(message) && name in entry)?.[1]
    return [key, invalid - 1, ...(field === undefined ? [] : [field])]
  }
  for (const [key, section] of Object.entries({ http, proxy, dns }))
    if (section !== undefined && fails({ ...bare, [key]: section })) return [key, 'listen']
  return undefined
}

/** What the message is about, for the column. */
const FIELDS: readonly (readonly [RegExp, string])[] = [
  [/local address|loopback/, 'local'],
  [/overlay port/, 'port'],
  [/^the (mapping|exposure) /, 'name'],
  [/^the (mapping|exposure) /, 'port'],
  [/^exposure /, 'target'],
  [/datagram|direct/, 'path'],
]

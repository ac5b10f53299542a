/** From the text of a configuration file to a `Config`: all errors together, each with its position, or none. */
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { PilotError } from '../base/errors.ts'
import { writeFileAtomically } from '../runtime/files/atomic.ts'
import { Config } from './schema.ts'
import { explainIssue, explainSyntax, type Problem } from './explain.ts'

export interface LoadedConfig {
  readonly config: Config
  readonly folder: string // base of relative paths in the file
  readonly text?: string // as in the file
  readonly file?: string // its name
}

/** A pipe (`-c /dev/stdin`, `-c <(sops -d gw.yaml)`) can be read once, and neither watched nor reread. */
export async function canBeFollowed(file: string): Promise<boolean> {
  return await stat(file).then(
    (found) => found.isFile(),
    () => true,
  )
}

/** @throws PilotError CONFIG_INVALID, also if the file cannot be read. */
export async function loadConfig(file: string): Promise<LoadedConfig> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new PilotError(
      'CONFIG_INVALID',
      `${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      { file },
      error,
      'Check its path and permissions; `pilotgate config init FILE` writes one to start from.',
    )
  }
  return { config: parseConfig(text, file), folder: dirname(resolve(file)), text, file }
}

/** Replaces the file atomically, keeping its mode and, for a link, its target's location. */
export async function writeConfig(file: string, text: string): Promise<void> {
  const target = await realpath(file)
  const { mode } = await stat(target)
  await writeFileAtomically(target, text, mode & 0o777)
}

/**
 * @throws PilotError CONFIG_INVALID; its message has a line `file:line:column: key: what was expected, what was found`
 *   for each problem, its details hold them as `problems`.
 */
export function parseConfig(text: string, fileName: string): Config {
  const lines = new LineCounter()
  // `<<` and keys that begin with `x-` are how compose files share pieces; a second document would be ignored silently.
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error', merge: true })
  const problems = doc.errors.map((error) => explainSyntax(error, lines))
  // A document with a duplicate key can still be checked; one with broken syntax cannot.
  if (doc.errors.some((error) => error.code !== 'DUPLICATE_KEY')) throw invalid(fileName, problems)
  let value: unknown
  try {
    value = withoutExtensions(doc.toJS({ maxAliasCount: 100 }) ?? {}) // an empty file lacks only its version
  } catch (error) {
    throw invalid(fileName, [
      { line: 1, column: 1, path: '', message: error instanceof Error ? error.message : String(error) },
    ])
  }
  const result = Config.safeParse(value)
  if (!result.success) problems.push(...result.error.issues.flatMap((issue) => explainIssue(issue, doc, lines)))
  if (!result.success || problems.length > 0) throw invalid(fileName, problems)
  return result.data
}

/** Keys `x-…` are ignored; a section whose entries are all commented out counts as absent. */
function withoutExtensions(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value).filter(([key, section]) => !key.startsWith('x-') && (section !== null || key === 'version')),
  )
}

function invalid(file: string, problems: readonly Problem[]): PilotError {
  const sorted = [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .filter(
      ({ line, column, path }, index, all) =>
        path !== '' || all[index - 1]?.line !== line || all[index - 1]?.column !== column,
    ) // one syntax error breaks several rules
  const text = sorted.map(
    ({ line, column, path, message }) => `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`,
  )
  return new PilotError('CONFIG_INVALID', text.join('\n'), { file, problems: sorted })
}

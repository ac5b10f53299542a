/** The only reader of the process's environment; everything else is handed a copy. */

export type Environment = Readonly<Record<string, string | undefined>>

export function readEnvironment(): Environment {
  return { ...process.env }
}

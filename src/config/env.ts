/** The only reader of the process environment; everything else gets a copy. */

export type Environment = Readonly<Record<string, string | undefined>>

export function readEnvironment(): Environment {
  return { ...process.env }
}

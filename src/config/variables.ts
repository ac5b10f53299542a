/** Variables that look like ours and change nothing: misspelt, or of another command. */
import type { Environment } from './env.ts'
import { OPTION_NAMES, OPTIONS } from './option-table.ts'

export interface IdleVariable {
  readonly variable: string
  readonly why: string
}

/** @param command which one reads the environment. An empty variable counts as absent. */
export function idleVariables(env: Environment, command: 'up' | 'rendezvous'): IdleVariable[] {
  const [own, other] = command === 'up' ? [OF_UP, OF_RENDEZVOUS] : [OF_RENDEZVOUS, OF_UP]
  return Object.entries(env).flatMap(([variable, value]) => {
    if (!variable.startsWith(PREFIX) || value === '' || own.has(variable)) return []
    const owner = command === 'up' ? 'rendezvous' : 'up'
    return [{ variable, why: other.has(variable) ? `only \`pilotgate ${owner}\` reads it` : 'is it misspelt?' }]
  })
}

const PREFIX = 'PILOTGATE_'
/** NATIVE is not an option: it serves to find out whether the native port is to blame. */
const OF_UP: ReadonlySet<string> = new Set(
  [...OPTION_NAMES.map((name) => OPTIONS[name].variable), 'NATIVE'].map((name) => PREFIX + name),
)
const OF_RENDEZVOUS: ReadonlySet<string> = new Set(
  ['REGISTRY', 'REGISTRY_FINGERPRINT', 'BEACON', 'STORE', 'HTTP', 'ADMIN_TOKEN'].map((name) => PREFIX + name),
)

/** The common notation of mappings and exposures. Text that cannot be parsed is a USAGE error that names the part. */
import { PilotError } from '../../base/errors.ts'

export type Fail = (what: string) => never

export function failing(kind: string, text: string, form: string): Fail {
  return (what) => {
    throw new PilotError('USAGE', `${kind} "${text}": ${what}; expected ${form}`, { [kind]: text })
  }
}

/** `/tcp` is allowed, and the default. */
export function splitProtocol(text: string, fail: Fail): { body: string; protocol: Protocol } {
  const [, body, protocol = 'tcp'] = /^(.*?)(?:\/([a-z]*))?$/s.exec(text)!
  if (protocol !== 'tcp' && protocol !== 'udp') return fail(`"/${protocol}" is not a protocol; use /tcp or /udp`)
  return { body: body!, protocol }
}

export function suffix(protocol: Protocol): string {
  return protocol === 'udp' ? '/udp' : ''
}

export type Protocol = 'tcp' | 'udp'

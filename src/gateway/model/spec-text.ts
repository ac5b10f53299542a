/** The common notation of mappings and exposures. Text that cannot be parsed is a USAGE error that names the part. */
import { PilotError } from '../../base/errors.ts'
import { parsePort } from './listen.ts'

export type Fail = (what: string) => never

export function failing(kind: string, text: string, form: string): Fail {
  return (what) => {
    throw new PilotError('USAGE', `${kind} "${text}": ${what}; expected ${form}`, { [kind]: text })
  }
}

/** Every port of a range. */
export function portsOf(first: string, last: string, fail: Fail): readonly number[] {
  const [from, to] = [parsePort(first), parsePort(last)]
  if (from === undefined || to === undefined || to < from) return fail(`"${first}-${last}" is not a range of ports`)
  if (to - from >= MAX_RANGE_PORTS) return fail(`"${first}-${last}": at most ${MAX_RANGE_PORTS} ports in one range`)
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

/** Each port is a listener, or an entry that every request for a port passes; the proxy suits more of them. */
const MAX_RANGE_PORTS = 1_024

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

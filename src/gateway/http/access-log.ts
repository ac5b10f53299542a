/** One log line for each request, forwarded or not; the last ones are kept for the dashboard. */
import type { Logger } from '../../base/logger.ts'
import type { RequestRecord } from '../model/records.ts'
import { Recent } from '../service/recent.ts'
import type { HopAbout } from './hop.ts'

export interface Access {
  readonly method: string
  readonly host: string
  readonly target: string // path and query as sent
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  readonly startedAt: number // performance.now
}

/** Filled during the exchange. */
export interface Tally {
  status: number // 499: the client left before there was one
  bytesIn: number // body of the request
  bytesOut: number // body of the response
  code?: string // of our own answer, or of the error that cut the exchange short
  cut?: boolean // the response was not delivered completely
}

export class AccessLog {
  readonly log: Logger
  readonly #recent = new Recent<RequestRecord>(MAX_RECENT)

  constructor(log: Logger) {
    this.log = log
  }

  /** The newest last. */
  get recent(): readonly RequestRecord[] {
    return this.#recent.all
  }

  note(about: HopAbout | undefined, access: Access, tally: Tally): void {
    const record = recordOf(access, tally)
    this.#recent.add({ at: new Date().toISOString(), ...shownOf(about), ...record })
    this.log.info({ ...about, ...record }, 'request')
  }
}

/** Without the key: the dashboard has no password. */
function shownOf(about: HopAbout | undefined): Pick<RequestRecord, keyof HopAbout & keyof RequestRecord> {
  if (about === undefined) return {}
  const { http, service, peer, nodeId, label } = about
  return { http, service, peer, ...(nodeId !== undefined && { nodeId }), ...(label !== undefined && { label }) }
}

/** Queries hold secrets, so they are left out. */
function recordOf(
  { method, host, target, protocol, startedAt }: Access,
  tally: Tally,
): Omit<RequestRecord, 'at' | keyof HopAbout> {
  const { status, bytesIn, bytesOut, code, cut } = tally
  return {
    method,
    host,
    path: target.replace(/[?#].*$/s, '').slice(0, MAX_PATH_CHARS),
    protocol,
    status,
    bytesIn,
    bytesOut,
    ms: Math.round((performance.now() - startedAt) * 10) / 10,
    ...(code !== undefined && { code }),
    ...(cut === true && { cut }),
  }
}

/** No one reads more of it, and a client may send 16 KiB. */
const MAX_PATH_CHARS = 256
/** What a person looks through. */
const MAX_RECENT = 200

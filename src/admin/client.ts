/** The other end of the admin socket: the methods of `AdminControl`, each one request. */
import { request } from 'node:http'
import type { AdminControl, Edit } from '../gateway/control.ts'
import { fromStrictUtf8, toBase64 } from '../base/bytes.ts'
import { ERRORS, PilotError, type ErrorCode } from '../base/errors.ts'

/** `AdminControl` as seen from outside: everything is asynchronous. */
export type AdminClient = Remote<AdminControl>

type Remote<T> = {
  readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : Remote<T[Name]>
}

/** Methods reject with the gateway's own PilotError, or with NOT_RUNNING, TIMED_OUT or FAILED if there is no answer. */
export function adminClient(socketPath: string, timeoutMs = ANSWER_TIMEOUT_MS): AdminClient {
  const get = async <T>(path: string): Promise<T> => (await ask(socketPath, 'GET', path, undefined, timeoutMs)) as T
  const put = async <T>(path: string, body: object): Promise<T> =>
    (await ask(socketPath, 'PUT', path, body, CHANGE_TIMEOUT_MS)) as T
  const post = async <T>(path: string, body: object, waitMs = timeoutMs): Promise<T> =>
    (await ask(socketPath, 'POST', path, body, waitMs)) as T
  return {
    status: () => get('/v1/status'),
    peers: () => get('/v1/peers'),
    mappings: () => get('/v1/mappings'),
    exposures: () => get('/v1/exposures'),
    connections: () => get('/v1/connections'),
    recent: () => get('/v1/recent'),
    doctor: () => get('/v1/doctor'),
    explain: (target) => post('/v1/doctor', { target }, EXPLAIN_TIMEOUT_MS),
    whois: (local) => post('/v1/whois', { local }),
    resolve: (name) => post('/v1/resolve', { name }, EXPLAIN_TIMEOUT_MS),
    hosts: () => get('/v1/hosts'),
    trusted: () => get('/v1/trust'),
    pending: () => get('/v1/trust/pending'),
    ping: (peer, seq, pingMs) => post('/v1/ping', { peer, seq, timeoutMs: pingMs }, pingMs + timeoutMs),
    bench: (peer, { bytes, forMs }) => post('/v1/bench', { peer, bytes, forMs }, 2 * forMs + EXPLAIN_TIMEOUT_MS),
    requestTrust: (peer, reason) => post('/v1/trust/request', { peer, reason }, TRUST_TIMEOUT_MS),
    approveTrust: (peer, forMs) => post('/v1/trust/approve', { peer, forMs }, TRUST_TIMEOUT_MS),
    rejectTrust: (peer) => post('/v1/trust/reject', { peer }, TRUST_TIMEOUT_MS),
    revokeTrust: (peer) => post('/v1/trust/revoke', { peer }, TRUST_TIMEOUT_MS),
    invite: (service, forMs, label) => post('/v1/tickets', { service, forMs, label }),
    tickets: () => get('/v1/tickets'),
    cancelTicket: (ticket) => post('/v1/tickets/cancel', { ticket }),
    redeem: (ticket) => post('/v1/tickets/redeem', { ticket }, REDEEM_TIMEOUT_MS),
    config: () => get('/v1/config'),
    settings: () => get('/v1/config/settings'),
    reload: () => post('/v1/config/reload', {}, CHANGE_TIMEOUT_MS),
    diff: (file, text) => post('/v1/config/diff', { file, text }, CHANGE_TIMEOUT_MS),
    replace: (version, wanted) => put('/v1/config', { ...wanted, version }),
    map: (spec, edit) => post('/v1/map', { spec, ...editBody(edit) }, CHANGE_TIMEOUT_MS),
    unmap: (name, edit) => post('/v1/unmap', { ...editBody(edit), name }, CHANGE_TIMEOUT_MS),
    expose: (spec, edit) => post('/v1/expose', { spec, ...editBody(edit) }, CHANGE_TIMEOUT_MS),
    unexpose: (name, edit) => post('/v1/unexpose', { ...editBody(edit), name }, CHANGE_TIMEOUT_MS),
    down: () => post('/v1/down', {}),
    messages: {
      send: ({ content, ...request }) => post('/v1/messages', { ...request, ...contentBody(content) }, SEND_TIMEOUT_MS),
      outgoing: async (id) =>
        id === undefined ? await get('/v1/messages') : [await post('/v1/messages/show', { id })],
      cancel: (id) => post('/v1/messages/cancel', { id }),
      inbox: (filter) => post('/v1/inbox', filter),
      find: (id) => post('/v1/inbox/find', { id }),
      remove: (ids) => post('/v1/inbox/remove', { ids }),
      wait: (filter, waitMs) => post('/v1/inbox/wait', { ...filter, timeoutMs: waitMs }, waitMs + timeoutMs),
    },
    drain: (exposure) => post('/v1/drain', { exposure }),
    resume: (exposure) => post('/v1/resume', { exposure }),
  }
}

function contentBody(content: Uint8Array | undefined): object {
  if (content === undefined) return {}
  const text = fromStrictUtf8(content)
  return text === undefined ? { base64: toBase64(content) } : { text }
}

function editBody({ name, save, ifVersion }: Edit): object {
  return { name, save, version: ifVersion }
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  body: object | undefined,
  timeoutMs: number,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers =
      text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    // One connection per request: an agent's kept-alive socket would keep a finished command from exiting.
    const call = request({ socketPath, method, path, headers, agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', (error) => reject(unreachable(socketPath, error)))
      response.on('end', () => {
        clearTimeout(timer)
        try {
          resolve(readAnswer(response.statusCode ?? 0, Buffer.concat(parts).toString('utf8')))
        } catch (error) {
          reject(error)
        }
      })
    })
    const timer = setTimeout(
      () =>
        call.destroy(
          new PilotError('TIMED_OUT', `the gateway at ${socketPath} did not answer within ${timeoutMs} ms`, {
            socketPath,
          }),
        ),
      timeoutMs,
    )
    call.on('error', (error) => {
      clearTimeout(timer)
      reject(unreachable(socketPath, error))
    })
    call.end(text)
  })
}

export function readAnswer(status: number, text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new PilotError(
      'FAILED',
      `the admin socket answered ${status} with something other than JSON; is it pilotgate?`,
    )
  }
  if (status === 200) return value
  const { error } = value as { error?: { code?: unknown; message?: unknown; details?: unknown; hint?: unknown } }
  // A newer gateway may use codes that we do not know.
  const code =
    typeof error?.code === 'string' && Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : 'FAILED'
  const details =
    error?.details !== null && typeof error?.details === 'object' ? (error.details as Record<string, unknown>) : {}
  throw new PilotError(
    code,
    typeof error?.message === 'string' ? error.message : `the gateway answered ${status}`,
    details,
    undefined,
    typeof error?.hint === 'string' ? error.hint : undefined,
  )
}

export function unreachable(socketPath: string, error: Error): PilotError {
  if (error instanceof PilotError) return error
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new PilotError(
      'NOT_RUNNING',
      `no gateway is running here: ${socketPath} does not exist`,
      { socketPath },
      error,
    )
  if (code === 'ECONNREFUSED')
    return new PilotError(
      'NOT_RUNNING',
      `no gateway is running here: nothing listens on ${socketPath}`,
      { socketPath },
      error,
    )
  if (code === 'EACCES' || code === 'EPERM')
    return new PilotError(
      'FAILED',
      `the admin socket ${socketPath} belongs to another user; run this as the user that runs the gateway`,
      { socketPath },
      error,
    )
  if (code === 'ECONNRESET')
    return new PilotError('NOT_RUNNING', `the gateway at ${socketPath} stopped before answering`, { socketPath }, error)
  return new PilotError('FAILED', `the admin socket ${socketPath}: ${error.message}`, { socketPath }, error)
}

const ANSWER_TIMEOUT_MS = 10_000
const EXPLAIN_TIMEOUT_MS = 40_000 // a dial of a peer that does not answer
const CHANGE_TIMEOUT_MS = 30_000 // thousands of listeners are bound one after the other
const REDEEM_TIMEOUT_MS = 40_000 // the other gateway may poll its registry only every few seconds
const SEND_TIMEOUT_MS = 600_000 // a large file is copied into the outbox
const TRUST_TIMEOUT_MS = 30_000 // goes to the registry, or to the peer through a relay

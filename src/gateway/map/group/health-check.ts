/**
 * A probe of a peer's service on a separate connection: HTTP must answer 2xx or 3xx to a GET, or
 * `grpc.health.v1.Health/Check` must answer SERVING (over h2c). Above: map/group/group.ts.
 */
import { request } from 'node:http'
import { connect } from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PilotError } from '../../../base/errors.ts'
import type { Check } from '../../model/map-spec.ts'

/**
 * Uses up the stream; the caller resets it. Ends when the stream ends.
 * @param host the host name to use. @throws PilotError PEER_UNREACHABLE: what is wrong with the service.
 */
export async function checkHealth(stream: Duplex, check: Check, host: string): Promise<void> {
  const fault = await (check.kind === 'http'
    ? checkHttp(stream, check.path, host)
    : checkGrpc(stream, check.service, host))
  if (fault !== undefined) throw new PilotError('PEER_UNREACHABLE', `${host}: ${fault}`)
}

function checkHttp(stream: Duplex, path: string, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const asked = request(
      { createConnection: () => stream, path, headers: { Host: host, 'User-Agent': AGENT, Connection: 'close' } },
      (response) => {
        const { statusCode = 0 } = response
        response.on('error', () => {}).resume()
        resolve(statusCode >= 200 && statusCode < 400 ? undefined : `GET ${path} answers ${statusCode}`)
      },
    )
    asked.on('error', (error) => resolve(`GET ${path}: ${error.message}`))
    asked.end()
  })
}

function checkGrpc(stream: Duplex, service: string, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const session = connect(`http://${host}`, { createConnection: () => stream as Socket })
    session.on('error', (error) => resolve(`the gRPC health check fails: ${error.message}`))
    session.on('close', () => resolve('the gRPC health check was not answered'))
    const call = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': AGENT,
    })
    let status: string | undefined
    const parts: Buffer[] = []
    const note = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers['grpc-status'] !== undefined) status = String(headers['grpc-status'])
      if (headers[':status'] !== undefined && headers[':status'] !== 200)
        resolve(`the gRPC health check answers HTTP ${String(headers[':status'])}`)
    }
    call.on('response', note).on('trailers', note)
    call.on('data', (part: Buffer) => {
      if (parts.length < MAX_PARTS) parts.push(part)
    })
    call.on('error', (error) => resolve(`the gRPC health check fails: ${error.message}`)) // 'close' follows
    call.on('close', () => {
      resolve(
        status === '0'
          ? statusFault(Buffer.concat(parts))
          : `the gRPC health check ends with status ${status ?? 'none'}`,
      )
      session.destroy()
    })
    call.end(healthRequest(service))
  })
}

/** One gRPC message: compressed?[1] length[4] HealthCheckRequest { string service = 1 }; a name fits a length of one byte (MAX_SERVICE_CHARS). */
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  const head = Buffer.alloc(GRPC_HEAD_BYTES)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** HealthCheckResponse { ServingStatus status = 1 }; an absent field is 0. */
function statusFault(answer: Buffer): string | undefined {
  const status =
    answer.length > GRPC_HEAD_BYTES + 1 && answer[GRPC_HEAD_BYTES] === 0x08 ? answer[GRPC_HEAD_BYTES + 1]! : 0
  return status === SERVING ? undefined : `the gRPC health check answers ${STATUSES[status] ?? status}`
}

const AGENT = 'pilotgate-probe'
const GRPC_HEAD_BYTES = 5
const SERVING = 1
const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
/** An answer has only a few bytes. */
const MAX_PARTS = 4

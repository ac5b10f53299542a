/**
 * `Connection: Upgrade`: WebSocket, or anything the two ends agree on. The request is forwarded with its upgrade, and
 * after a 101 the two connections are joined; any other answer is returned unchanged. Above: http1.ts.
 */
import { request, ServerResponse } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PilotError } from '../../base/errors.ts'
import type { Tally } from './access-log.ts'
import { failureOf } from './failure.ts'
import { respond } from './forward.ts'
import { detach1 } from './guarded.ts'
import { pairs, requestHeaders, responseHeaders } from './headers.ts'
import type { Hop } from './hop.ts'

/**
 * @param res over `socket`, for every answer except a 101.
 * @param head data after the head of the request: its body, then data of the upgraded connection.
 * @param onClosed an upgraded connection has ended.
 */
export function upgrade(
  req: IncomingMessage,
  res: ServerResponse,
  socket: Duplex,
  head: Buffer,
  hop: Hop,
  tally: Tally,
  onFailure: (error: PilotError) => void,
  onClosed: () => void,
): void {
  const { host, port, agent } = hop
  const protocol = req.headers.upgrade!
  const headers = Object.assign(requestHeaders(req.rawHeaders, hop.caller, hop.presents), {
    Connection: 'Upgrade',
    Upgrade: protocol,
  })
  const out = request({ host, port, agent, method: req.method!, path: req.url!, headers })
  const gone = (): void => {
    out.destroy()
  }
  let answered = false
  socket.once('close', gone)
  const fail = (error: unknown): void => {
    socket.off('close', gone)
    if (answered || socket.destroyed) return
    answered = true
    onFailure(failureOf(error, hop))
  }
  out.once('error', fail)
  out.once('close', () =>
    fail(new PilotError('PEER_RESET', `${hop.about.service}: the connection ended without an answer`)),
  )
  out.once('response', (answer) => {
    answered = true
    out.shouldKeepAlive = false // a service that refused an upgrade may treat the next bytes in any way
    respond(req, res, hop, answer, tally, (error) => {
      out.destroy()
      onFailure(failureOf(error, hop))
    })
  })
  out.once('upgrade', (answer, upstream, first) => {
    socket.off('close', gone)
    upstream.on('error', () => {}) // 'close' follows
    if (answered || !isSameProtocol(answer.headers.upgrade, protocol)) {
      upstream.destroy()
      fail(new PilotError('BAD_RESPONSE', `${hop.about.service}: it switched to a protocol that was not requested`))
      return
    }
    answered = true
    if (first.length > 0) upstream.unshift(first)
    switchProtocols(res, socket, answer)
    tally.status = 101
    join(socket, upstream, tally, onClosed)
  })
  sendBody(socket, head, Number(req.headers['content-length'] ?? 0), out, tally)
}

function switchProtocols(res: ServerResponse, socket: Duplex, answer: IncomingMessage): void {
  const lines = pairs(responseHeaders(answer.rawHeaders, false)).map(([name, value]) => `${name}: ${value}\r\n`)
  const chosen = answer.headers.upgrade ?? ''
  const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${chosen}\r\n${lines.join('')}\r\n`
  detach1(res, socket)
  socket.write(Buffer.from(head, 'latin1'))
}

/** The service chooses one of the protocols that the client named, in its own spelling (RFC 9110 §7.8). */
function isSameProtocol(chosen: string | undefined, offered: string): boolean {
  const names = offered.split(',').map((name) => name.trim().toLowerCase())
  return chosen === undefined || names.includes(chosen.trim().toLowerCase())
}

/** Exactly the body; the data after it is put back, and belongs to the upgraded connection. */
function sendBody(socket: Duplex, head: Buffer, length: number, out: ClientRequest, tally: Tally): void {
  let left = length
  const take = (part: Buffer): void => {
    const body = part.subarray(0, left)
    left -= body.length
    tally.bytesIn += body.length
    if (left === 0) {
      socket.off('data', take)
      socket.pause()
      if (part.length > body.length) socket.unshift(part.subarray(body.length))
      out.end(body)
    } else if (!out.write(body)) {
      socket.pause()
      out.once('drain', () => socket.resume())
    }
  }
  if (left === 0) {
    if (head.length > 0) socket.unshift(head)
    out.end()
    return
  }
  if (head.length > 0) take(head)
  if (left > 0) socket.on('data', take)
}

/** A response object over a connection that Node's server has released. It is the connection's last. */
export function lastResponse(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket as Socket)
  res.once('finish', () => {
    detach1(res, socket)
    ;(socket as Socket).destroySoon()
  })
  return res
}

/** An HTTP/2 stream has no `destroySoon`; `end` is enough. */
function soon(to: Duplex): void {
  if ('destroySoon' in to) (to as Socket).destroySoon()
  else to.end()
}

/** Each side's end ends the other, abruptly if it was abrupt. */
export function join(socket: Duplex, upstream: Duplex, tally: Tally, onClosed: () => void): void {
  let open = 2
  const pass = (from: Duplex, to: Duplex, count: (bytes: number) => void): void => {
    from.on('data', (part: Buffer) => count(part.length))
    from.on('error', () => to.destroy())
    from.once('close', () => {
      if (from.readableEnded) soon(to) // no pipe reads it any more
      else to.destroy()
      open -= 1
      if (open === 0) onClosed()
    })
    from.pipe(to)
  }
  pass(socket, upstream, (bytes) => {
    tally.bytesIn += bytes
  })
  pass(upstream, socket, (bytes) => {
    tally.bytesOut += bytes
  })
}

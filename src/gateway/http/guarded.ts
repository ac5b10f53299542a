/**
 * Calls of node:http and node:http2 that throw because of the other side: a status of 999, a duplicate of a
 * single-value header, a stream that has just ended. Thrown inside an event handler, this would end the process with
 * every other connection. Here it becomes a value, and the caller ends only the stream concerned. No other file of this
 * room makes these calls (test/architecture.test.ts).
 */
import type { ServerResponse } from 'node:http'
import { performServerHandshake } from 'node:http2'
import type {
  ClientHttp2Stream,
  Http2Session,
  OutgoingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
  ServerStreamResponseOptions,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Undefined: done. */
export type Thrown = Error | undefined

export function respond2(
  stream: ServerHttp2Stream,
  headers: OutgoingHttpHeaders,
  options?: ServerStreamResponseOptions,
): Thrown {
  return attempt(() => stream.respond(headers, options))
}

/** 1xx. */
export function inform2(stream: ServerHttp2Stream, headers: OutgoingHttpHeaders): Thrown {
  return attempt(() => stream.additionalHeaders(headers))
}

export function trail2(stream: ServerHttp2Stream | ClientHttp2Stream, headers: OutgoingHttpHeaders): Thrown {
  return attempt(() => stream.sendTrailers(headers))
}

/** Flow-control window of the whole connection, bytes. */
export function widen2(session: Http2Session, bytes: number): Thrown {
  return attempt(() => session.setLocalWindowSize(bytes))
}

/** @returns undefined if the connection is already gone, or cannot carry a session. */
export function handshake2(
  socket: Duplex,
  options: Parameters<typeof performServerHandshake>[1],
): ServerHttp2Session | undefined {
  let session: ServerHttp2Session | undefined
  attempt(() => {
    session = performServerHandshake(socket, options)
  })
  return session
}

/** @param head names and values in turn. */
export function writeHead1(
  res: ServerResponse,
  status: number,
  reason: string | undefined,
  head: readonly string[] | OutgoingHttpHeaders,
): Thrown {
  return attempt(() => res.writeHead(status, reason, head as OutgoingHttpHeaders))
}

export function hint1(res: ServerResponse, hints: Record<string, string | string[]>): Thrown {
  return attempt(() => res.writeEarlyHints(hints))
}

export function detach1(res: ServerResponse, socket: Duplex): Thrown {
  return attempt(() => res.detachSocket(socket as Socket))
}

function attempt(act: () => void): Thrown {
  try {
    act()
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

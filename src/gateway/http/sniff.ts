/** HTTP/1 or HTTP/2? The preface of HTTP/2 (RFC 9113 §3.4) begins with a method that HTTP/1 reserves and never uses. */
import type { Duplex } from 'node:stream'
import { HEAD_MS } from './limits.ts'

/**
 * Calls back once enough bytes are there; they are put back first. A connection that ends before that, or stays silent
 * too long, is closed.
 */
export function sniff(socket: Duplex, onVersion: (version: 1 | 2) => void, patienceMs: number = HEAD_MS): void {
  const late = setTimeout(() => socket.destroy(), patienceMs)
  socket.once('close', () => clearTimeout(late))
  let seen = Buffer.alloc(0)
  const look = (): void => {
    const more = socket.read() as Buffer | null
    if (more === null) return // not yet, or the end
    seen = Buffer.concat([seen, more])
    const known = seen.length >= PREFACE.length || !PREFACE.startsWith(seen.toString('latin1'))
    if (!known) return // "P" may still be POST
    clearTimeout(late)
    socket.off('readable', look)
    socket.off('end', ended)
    socket.unshift(seen)
    onVersion(seen.toString('latin1', 0, PREFACE.length) === PREFACE ? 2 : 1)
  }
  const ended = (): void => {
    socket.end()
  }
  socket.on('readable', look)
  socket.once('end', ended)
}

const PREFACE = 'PRI * HTTP/2.0'

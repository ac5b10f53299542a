// The two ends of a transfer, in plain JavaScript: started many times inside namespaces, they must start quickly.
//   node peer.mjs serve HOST PORT BYTES [RATE] answers each connection with one byte, then BYTES of a known pattern, at RATE bytes per second; prints the port
//   node peer.mjs echo HOST PORT BYTES         sends BYTES of the pattern to an echo service, prints what came back as fetch does
//   node peer.mjs fetch HOST PORT [TIMEOUT_MS] connects, reads to the end, prints {connectMs, firstByteMs, totalMs, bytes, sha256, error}
import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'

const [mode, host, port, third, fourth] = process.argv.slice(2)

/**
 * The same 64 KiB at both ends, each with a counter in front: a lost, duplicated or misplaced block changes the digest.
 */
export function block(index, length) {
  const bytes = Buffer.alloc(length, PATTERN)
  bytes.writeUInt32BE(index, 0)
  return bytes
}

const PATTERN = createHash('sha512').update('pilotgate').digest()
const BLOCK_BYTES = 65_536

if (mode === 'serve') serve()
else if (mode === 'fetch') fetch()
else if (mode === 'echo') echo()

function serve() {
  const total = Number(third)
  const pauseMs = fourth === undefined ? 0 : (1_000 * BLOCK_BYTES) / Number(fourth)
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    socket.resume()
    let index = 0
    socket.write('!')
    const pump = () => {
      while (index * BLOCK_BYTES < total) {
        const length = Math.min(BLOCK_BYTES, total - index * BLOCK_BYTES)
        const isTaken = socket.write(block(index++, length))
        if (pauseMs > 0) return void setTimeout(pump, pauseMs)
        if (!isTaken) return void socket.once('drain', pump)
      }
      socket.end()
    }
    pump()
  })
  server.listen(Number(port), host, () =>
    console.log(JSON.stringify({ event: 'listening', port: server.address().port })),
  )
}

function fetch() {
  const began = performance.now()
  const hash = createHash('sha256')
  const result = { connectMs: 0, firstByteMs: 0, totalMs: 0, bytes: 0, sha256: '', error: null }
  const done = (error) => {
    if (error !== undefined) result.error = error
    result.totalMs = performance.now() - began
    result.sha256 = hash.digest('hex')
    console.log(JSON.stringify({ event: 'fetched', ...result }))
    process.exit(0)
  }
  const socket = connect({ host, port: Number(port), noDelay: true })
  setTimeout(() => done(`not done after ${third} ms`), Number(third ?? 60_000))
  socket.on('connect', () => {
    result.connectMs = performance.now() - began
  })
  socket.on('data', (bytes) => {
    if (result.bytes === 0) result.firstByteMs = performance.now() - began
    const before = result.bytes
    result.bytes += bytes.length
    hash.update(bytes)
    if (before >> 24 !== result.bytes >> 24) console.log(JSON.stringify({ event: 'progress', bytes: result.bytes }))
  })
  socket.on('end', () => done())
  socket.on('error', (error) => done(error.code ?? error.message))
}

function echo() {
  const total = Number(third)
  const began = performance.now()
  const hash = createHash('sha256')
  const result = { connectMs: 0, firstByteMs: 0, totalMs: 0, bytes: 0, sha256: '', error: null }
  const done = (error) => {
    if (error !== undefined) result.error = error
    result.totalMs = performance.now() - began
    result.sha256 = hash.digest('hex')
    console.log(JSON.stringify({ event: 'fetched', ...result }))
    process.exit(0)
  }
  const socket = connect({ host, port: Number(port), noDelay: true })
  setTimeout(() => done(`not done after 50 s: ${result.bytes} of ${total} bytes`), 50_000)
  socket.on('data', (bytes) => {
    if (result.bytes === 0) result.firstByteMs = performance.now() - began
    result.bytes += bytes.length
    hash.update(bytes)
    if (result.bytes >= total) done()
  })
  socket.on('end', () => done('the other side ended first'))
  socket.on('error', (error) => done(error.code ?? error.message))
  let index = 0
  const pump = () => {
    while (index * BLOCK_BYTES < total) {
      const length = Math.min(BLOCK_BYTES, total - index * BLOCK_BYTES)
      if (!socket.write(block(index++, length))) return void socket.once('drain', pump)
    }
  }
  pump()
}

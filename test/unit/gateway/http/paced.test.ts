/**
 * A stream with a byte rate limit, parsed by Node's own HTTP server: every byte is counted, none is lost, FINs pass.
 */
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { Paced } from '../../../../src/gateway/http/paced.ts'
import type { PacedSource } from '../../../../src/gateway/http/paced.ts'

function paced(pace: (bytes: number) => number): { near: Paced; far: Duplex; stream: PacedSource } {
  const [inner, far] = duplexPair()
  const stream: PacedSource = Object.assign(inner, {
    destroySoon: () => {
      inner.destroy()
    },
    setTimeout: () => inner as unknown as PacedSource,
  }) as unknown as PacedSource
  return { near: new Paced(stream, pace), far, stream }
}

test('a request and its answer pass complete, counted to the byte both ways, and no faster than allowed', async () => {
  const body = Buffer.alloc(200_000, 'x')
  let [counted, waited] = [0, 0]
  const { near, far } = paced((bytes) => {
    counted += bytes
    waited += 2
    return 2
  })
  const server = createServer((incoming, response) => {
    let length = 0
    incoming.on('data', (part: Buffer) => {
      length += part.length
    })
    incoming.once('end', () => response.end(Buffer.concat([Buffer.from(`${length} `), body])))
  })
  server.emit('connection', near)
  let [sent, heard] = [0, 0]
  const send = far.write.bind(far)
  far.write = ((chunk: Buffer | string, ...rest: []) => {
    sent += Buffer.byteLength(chunk)
    return send(chunk, ...rest)
  }) as typeof far.write
  far.on('data', (part: Buffer) => {
    heard += part.length
  })
  const startedAt = performance.now()
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request(
      { method: 'POST', createConnection: () => far, headers: { 'Content-Length': body.length, Connection: 'close' } },
      (response) => {
        let all = ''
        response
          .setEncoding('latin1')
          .on('data', (part: string) => {
            all += part
          })
          .once('end', () => resolve(all))
          .once('error', reject)
      },
    )
    asked.once('error', reject)
    asked.end(body)
  })
  assert.equal(text, `${body.length} ${body.toString()}`)
  assert.equal(counted, sent + heard)
  assert.ok(performance.now() - startedAt >= waited / 4, `${waited} ms were asked for`)
})

test('one direction may end before the other; data written afterwards still arrives', async () => {
  const { near, far } = paced(() => 1)
  far.end('question')
  let heard = ''
  near.on('data', (part: Buffer) => {
    heard += part.toString()
  })
  await new Promise((resolve) => near.once('end', resolve))
  near.end('answer')
  let answer = ''
  far.on('data', (part: Buffer) => {
    answer += part.toString()
  })
  await new Promise((resolve) => far.once('end', resolve))
  assert.deepEqual([heard, answer], ['question', 'answer'])
})

test('a broken stream breaks its pair, in both directions', async () => {
  const first = paced(() => 0)
  first.near.on('error', () => {})
  first.stream.destroy(new Error('reset'))
  await new Promise((resolve) => first.near.once('close', resolve))
  const second = paced(() => 0)
  second.near.destroy()
  await new Promise((resolve) => second.stream.once('close', resolve))
  assert.ok(second.stream.destroyed)
})

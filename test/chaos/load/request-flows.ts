/** Short exchanges in sequence: half-closing requests on separate connections, and HTTP on kept ones. */
import { Agent, request } from 'node:http'
import { MAX_MESSAGE_BYTES, message, wrongWith } from './frames.ts'
import { localPort } from './ports.ts'
import { dial } from './stream-flows.ts'
import type { Faults, Progress, Tally } from './tally.ts'

/**
 * Prefix for a truncated answer. Our own side is closed by then, so a reset right after data looks like an end: where
 * resets are allowed it proves nothing.
 */
export const UNCLEAR = 'cut'

/** The outcome of one exchange. */
type Outcome = Buffer | 'failed' | 'hang'

abstract class ExchangeFlow {
  readonly #tally: Tally
  readonly #faults: Faults
  readonly #progress: Progress
  readonly #done: Promise<void>
  #isFinishing = false
  #seed: number

  constructor(tally: Tally, faults: Faults, number: number) {
    this.#tally = tally
    this.#faults = faults
    this.#progress = tally.flow()
    this.#seed = number * 1_000_003
    this.#done = this.#loop()
  }

  async finish(): Promise<void> {
    this.#isFinishing = true
    await this.#done
  }

  protected abstract exchange(seed: number, bytes: Buffer): Promise<Outcome>
  protected abstract readonly what: string

  async #loop(): Promise<void> {
    await pause(PAUSE_MS) // the subclass constructor runs first
    while (!this.#isFinishing) {
      const beganAt = performance.now()
      const seed = (this.#seed = (this.#seed + 1) >>> 0)
      const answer = await this.exchange(seed, message(seed, (seed * 104_729) % MAX_REQUEST_BYTES))
      const ms = performance.now() - beganAt
      if (answer === 'hang') this.#faults.hang(`${this.what}: neither an answer nor an error after ${HANG_MS} ms`)
      else if (answer === 'failed') this.#tally.failed(ms)
      else this.#judge(answer, seed, beganAt, ms)
      await pause(PAUSE_MS)
    }
  }

  #judge(answer: Buffer, seed: number, beganAt: number, ms: number): void {
    const wrong = wrongWith(answer, seed)
    if (wrong !== undefined) {
      const detail = `client: ${this.what} answered with ${answer.length} bytes: ${wrong}`
      this.#faults.add(wrong, wrong === 'ended early' ? `${UNCLEAR}: ${detail}` : detail)
      return
    }
    this.#tally.ok(ms)
    this.#progress.moved(beganAt)
  }
}

export class RequestFlow extends ExchangeFlow {
  protected readonly what = 'request'

  protected async exchange(_: number, bytes: Buffer): Promise<Outcome> {
    return await new Promise((resolve) => {
      const socket = dial('requests')
      const parts: Buffer[] = []
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer)
        socket.destroy()
        resolve(outcome)
      }
      const timer = setTimeout(() => settle('hang'), HANG_MS)
      socket.on('data', (part: Buffer) => parts.push(part))
      socket.once('end', () => settle(parts.length === 0 ? 'failed' : Buffer.concat(parts)))
      socket.once('close', () => settle('failed'))
      socket.end(bytes)
    })
  }
}

export class HttpFlow extends ExchangeFlow {
  protected readonly what = 'HTTP request'
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  protected async exchange(seed: number, bytes: Buffer): Promise<Outcome> {
    return await new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer)
        resolve(outcome)
      }
      const call = request(
        { host: '127.0.0.1', port: localPort('http'), path: `/${seed}`, method: 'POST', agent: this.#agent },
        (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('end', () => settle(response.statusCode === 200 ? Buffer.concat(parts) : 'failed'))
          response.on('error', () => settle('failed'))
        },
      )
      const timer = setTimeout(() => {
        settle('hang')
        call.destroy()
      }, HANG_MS)
      call.on('error', () => settle('failed'))
      call.end(bytes)
    })
  }

  override async finish(): Promise<void> {
    await super.finish()
    this.#agent.destroy()
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

const PAUSE_MS = 60
const MAX_REQUEST_BYTES = Math.min(30_000, MAX_MESSAGE_BYTES)
/** Longer than any promise: an exchange that has not ended by then never would. */
const HANG_MS = 45_000

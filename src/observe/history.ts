/** The rates of the last minutes, so that a dashboard that is opened now has a past. */
import type { TrafficRecord } from '../gateway/model/records.ts'
import type { History } from './page-data.ts'

export class Sampler {
  readonly #read: () => TrafficRecord | undefined
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout
  readonly #in: number[] = []
  readonly #out: number[] = []
  #last: { readonly at: number; readonly traffic: TrafficRecord } | undefined

  /** @param read undefined while the gateway starts. */
  constructor(read: () => TrafficRecord | undefined, now: () => number = () => performance.now()) {
    this.#read = read
    this.#now = now
    this.#timer = setInterval(() => this.sample(), EVERY_MS).unref()
  }

  get record(): History {
    return { everyMs: EVERY_MS, in: this.#in, out: this.#out }
  }

  /** Called by its own timer. */
  sample(): void {
    const traffic = this.#read()
    if (traffic === undefined) return
    const at = this.#now()
    const last = this.#last
    this.#last = { at, traffic }
    if (last === undefined || at <= last.at) return
    const seconds = (at - last.at) / 1000
    this.#add(this.#in, (traffic.bytesIn - last.traffic.bytesIn) / seconds)
    this.#add(this.#out, (traffic.bytesOut - last.traffic.bytesOut) / seconds)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #add(rates: number[], rate: number): void {
    rates.push(Math.max(0, Math.round(rate)))
    if (rates.length > SAMPLES) rates.shift()
  }
}

const EVERY_MS = 1_000
/** As many as the graph has points. */
const SAMPLES = 120

/**
 * Measures how busy the machine is: a fixed piece of work is timed repeatedly, by wall clock and by CPU time. On an
 * idle machine both are equal; work that waits for a core takes longer by the wall clock.
 */
export class BusyMeter {
  readonly #samples: number[] = []
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS)
  }

  /** How many times longer things take, 1 to MAX_FACTOR: the 75th percentile of the samples. */
  get factor(): number {
    const sorted = this.#samples.toSorted((a, b) => a - b)
    return Math.min(MAX_FACTOR, Math.max(1, sorted[Math.floor(sorted.length * 0.75)] ?? 1))
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): void {
    const [wall, cpu] = [performance.now(), process.cpuUsage()]
    let sum = 0
    while (process.cpuUsage(cpu).user < WORK_US) for (let at = 0; at < 10_000; at++) sum += Math.sqrt(at)
    const used = process.cpuUsage(cpu)
    if (sum > 0) this.#samples.push(((performance.now() - wall) * 1_000) / (used.user + used.system))
  }
}

const SAMPLE_MS = 500
/** Longer than a time slice of the scheduler, or it would never be interrupted. */
const WORK_US = 8_000
/** Beyond this a machine proves nothing about times. */
const MAX_FACTOR = 4

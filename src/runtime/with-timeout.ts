/** Waits for a promise, with a limit. */
import { PilotError } from '../base/errors.ts'

/** @throws PilotError PEER_UNREACHABLE with `text` if the time runs out first. */
export async function withTimeout<T>(promise: Promise<T>, ms: number, text: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new PilotError('PEER_UNREACHABLE', text)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits for work that may be late: then it continues alone. Rejects as the work does, if it does in time. */
export async function waitAtMost(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    work,
    new Promise((resolve) => {
      timer = setTimeout(resolve, ms)
    }),
  ])
  clearTimeout(timer)
}

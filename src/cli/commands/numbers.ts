/** Numbers on the command line: integers within limits, which error messages state. */
import { PilotError } from '../../base/errors.ts'

/**
 * A duration with its unit, in ms.
 * @param bareMs what a number without a unit means, where that was the notation once.
 */
export function durationOption(
  name: string,
  leastMs: number,
  mostMs: number,
  bareMs?: number,
): (text: string) => number {
  return (text) => {
    const [, digits, unit] = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(text) ?? []
    const unitMs = unit === undefined ? bareMs : UNITS_MS[unit]
    const value = Number(digits) * (unitMs ?? Number.NaN)
    if (value >= leastMs && value <= mostMs) return value
    throw new PilotError(
      'USAGE',
      `${name} "${text}": expected a duration from ${written(leastMs)} to ${written(mostMs)}, such as 30s, 10m, 2h or 1d`,
      { value: text },
    )
  }
}

/** A count of bytes, decimal units allowed: 64M is 64 000 000. */
export function bytesOption(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const [, digits, unit = ''] = /^(\d{1,12})([kMG]?)B?$/.exec(text) ?? []
    const value = digits === undefined ? Number.NaN : Number(digits) * BYTE_UNITS[unit]!
    if (value >= least && value <= most) return value
    throw new PilotError(
      'USAGE',
      `${name} "${text}": expected a number of bytes from ${least} to ${most}, such as 500k, 64M or 1G`,
      { value: text },
    )
  }
}

const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 }

/** In the largest unit that leaves a whole number. */
export function written(ms: number): string {
  if (ms === 0) return '0s'
  const unit = ['d', 'h', 'm', 's'].find((name) => Number.isInteger(ms / UNITS_MS[name]!)) ?? 'ms'
  return `${ms / UNITS_MS[unit]!}${unit}`
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export function numberOption(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new PilotError('USAGE', `${name} "${text}": expected a whole number from ${least} to ${most}`, {
      value: text,
    })
  }
}

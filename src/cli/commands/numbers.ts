/** Numbers on the command line: whole, within limits, refused with both. */
import { PilotError } from '../../base/errors.ts'

export function numberOption (name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new PilotError('USAGE', `${name} "${text}": expected a whole number from ${least} to ${most}`, { value: text })
  }
}

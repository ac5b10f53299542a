/** Times as the reference writes and reads them: RFC 3339, whole seconds. */

export function rfc3339(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** `text` is the same time without its fraction, in the zone it was written in. Undefined if it is not such a time. */
export function parseRfc3339(time: string): { readonly unixMs: number; readonly text: string } | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(Z|[+-]\d{2}:\d{2})$/.exec(time)
  const unixMs = match === null ? NaN : Date.parse(time)
  if (match === null || Number.isNaN(unixMs)) return undefined
  const day = new Date(Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3])))
  if (day.getUTCDate() !== Number(match[3])) return undefined // Date.parse accepts the 31st of February
  return { unixMs, text: time.replace(/\.\d+/, '').replace(/[+-]00:00$/, 'Z') }
}

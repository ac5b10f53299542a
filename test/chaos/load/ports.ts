/** Overlay ports of the load, and where its programs listen and call; each namespace has its own loopback. */
export const OVERLAY = { streams: 81, requests: 82, datagrams: 83, http: 84, idle: 85, odd: 86 } as const
export type Flow = keyof typeof OVERLAY

/** Mapped at the client's side; nothing is exposed behind it. */
export const NOWHERE = 99

export function servicePort(flow: Flow): number {
  return 9_000 + OVERLAY[flow]
}

export function localPort(flow: Flow | 'nowhere'): number {
  return 8_000 + (flow === 'nowhere' ? NOWHERE : OVERLAY[flow])
}

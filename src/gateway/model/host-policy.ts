/**
 * Which `Host` a web server sees. Development servers and SDKs (Vite, Django, the MCP SDK) accept only the names that
 * they know, so that another name whose DNS leads to this machine reaches nothing (docs/targets.md).
 */

/** rewrite: the server sees the name that it expects, `localhost`. Requests are then read as HTTP. */
export type HostPolicy = 'rewrite'

export function parseHostPolicy(text: string): HostPolicy | undefined {
  return text === 'rewrite' ? text : undefined
}

export const HOST_FORM = 'rewrite, or leave it out'

export const NO_UDP_HOST = 'host=rewrite cannot be combined with /udp'

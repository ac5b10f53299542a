/** Which clients a mapping accepts if other machines can reach it: addresses and CIDR blocks. */
import { BlockList, isIP } from 'node:net'

/** `10.0.0.0/8`, `192.168.1.7`, `fd00::/8`. */
export function isClientBlock(text: string): boolean {
  const { family, bits } = parts(text)
  return family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= widthOf(family)
}

/** @param blocks valid per `isClientBlock`; absent: everyone. An IPv4 client of an IPv6 socket counts as IPv4. */
export function clientFilter(blocks: readonly string[] | undefined): (address: string) => boolean {
  if (blocks === undefined) return () => true
  const list = new BlockList()
  for (const block of blocks) {
    const { address, family, bits } = parts(block)
    list.addSubnet(address, Number(bits), `ipv${family as 4 | 6}`)
  }
  return (written) => {
    const address = written.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
    return isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
}

function parts(text: string): { address: string; family: number; bits: string } {
  const [, address = '', bits] = /^([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  const family = isIP(address)
  return { address, family, bits: bits ?? String(widthOf(family)) }
}

function widthOf(family: number): number {
  return family === 6 ? 128 : 32
}

export const CLIENT_FORM = 'an address, or a block such as 10.0.0.0/8'

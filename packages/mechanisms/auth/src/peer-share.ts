import { isIPv4, isIPv6 } from 'node:net'

/**
 * Whose share of a bounded queue a peer counts against: an IPv4 address, or for IPv6 the network of 64 bits, since one
 * subscriber has as many addresses of it as they like (RFC 6177). Peers without a known address share one share.
 */
export function peerShare(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined || remoteAddress === '') return 'unknown'
  const [address = ''] = remoteAddress.toLowerCase().split('%')
  const mapped = address.startsWith('::ffff:') ? address.slice(7) : address
  if (isIPv4(mapped)) return mapped
  if (!isIPv6(address)) return remoteAddress
  const [head = '', tail] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length - (address.includes('.') ? 1 : 0))
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

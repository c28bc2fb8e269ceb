/**
 * The two forms of an ECDSA signature: the two numbers side by side (JOSE, IEEE P1363), and a DER sequence of them
 * (X.509, TLS, Java, OpenSSL). Converting here and handing the runtime DER is faster than its own conversion.
 */

/** Converts from the fixed-length form; `undefined` if the length is not twice that of a coordinate. */
export function toDer(signature: Uint8Array, size: number): Buffer | undefined {
  if (signature.length !== 2 * size) return undefined
  const r = integerStart(signature, 0, size)
  const s = integerStart(signature, size, 2 * size)
  const rLength = size - r.at + r.pad
  const sLength = 2 * size - s.at + s.pad
  const length = 4 + rLength + sLength
  const headerLength = length < 0x80 ? 2 : 3
  const der = Buffer.alloc(headerLength + length)
  let at = 0
  der[at++] = 0x30
  if (headerLength === 3) der[at++] = 0x81
  der[at++] = length
  der[at++] = 0x02
  der[at++] = rLength
  der.set(signature.subarray(r.at, size), at + r.pad)
  at += rLength
  der[at++] = 0x02
  der[at++] = sLength
  der.set(signature.subarray(s.at), at + s.pad)
  return der
}

/** Converts a DER signature that the runtime made to the fixed-length form. */
export function fromDer(der: Uint8Array, size: number): Buffer {
  const out = Buffer.alloc(2 * size)
  let at = (der[1] ?? 0) < 0x80 ? 2 : 3
  for (const end of [size, 2 * size]) {
    const length = der[at + 1] ?? 0
    at += 2
    const number = der.subarray(at, at + length)
    const significant = number[0] === 0 ? number.subarray(1) : number
    out.set(significant, end - significant.length)
    at += length
  }
  return out
}

/** Where a number begins without its leading zeros, and whether it needs one so as not to be negative. */
function integerStart(bytes: Uint8Array, from: number, end: number): { at: number; pad: number } {
  let at = from
  while (at < end - 1 && bytes[at] === 0) at++
  return { at, pad: (bytes[at] ?? 0) >= 0x80 ? 1 : 0 }
}

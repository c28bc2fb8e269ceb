/**
 * The two forms of an ECDSA signature: the two numbers side by side (JOSE, IEEE P1363), and a DER sequence of them
 * (X.509, TLS, Java, OpenSSL). Converting here and handing the runtime DER is faster than its own conversion.
 */

/** Converts from the fixed-length form; `undefined` if the length is not twice that of a coordinate. */
export function toDer(signature: Uint8Array, size: number): Buffer | undefined {
  if (signature.length !== 2 * size) return undefined
  let r = significant(signature, 0, size)
  let s = significant(signature, size, 2 * size)
  const rPad = (signature[r] ?? 0) >> 7
  const sPad = (signature[s] ?? 0) >> 7
  const rLength = size - r + rPad
  const sLength = 2 * size - s + sPad
  const length = 4 + rLength + sLength
  // Every byte is written below; copying so few one by one is several times faster than by views.
  const der = Buffer.allocUnsafe(length + (length < 0x80 ? 2 : 3))
  let at = 0
  der[at++] = 0x30
  if (length >= 0x80) der[at++] = 0x81
  der[at++] = length
  der[at++] = 0x02
  der[at++] = rLength
  if (rPad === 1) der[at++] = 0
  while (r < size) der[at++] = signature[r++] ?? 0
  der[at++] = 0x02
  der[at++] = sLength
  if (sPad === 1) der[at++] = 0
  while (s < 2 * size) der[at++] = signature[s++] ?? 0
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
    const digits = number[0] === 0 ? number.subarray(1) : number
    out.set(digits, end - digits.length)
    at += length
  }
  return out
}

/** Where a number begins without its leading zeros; a number that is zero keeps one. */
function significant(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end - 1 && bytes[at] === 0) at++
  return at
}

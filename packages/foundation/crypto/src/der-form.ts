import { readSequence, readValue, tags } from './der.ts'

/** What DER bytes can be that hold a key. */
export type DerForm = 'spki' | 'pkcs1Public' | 'certificate' | 'pkcs8' | 'encryptedPkcs8' | 'sec1' | 'pkcs1Private'

const { integer, sequence, octetString, bitString } = tags

// The tags that each form begins with: RFC 5280 section 4.1, RFC 8017 appendix A.1, RFC 5958 sections 2 and 3, RFC 5915 section 3.
const beginnings: readonly (readonly [DerForm, readonly number[]])[] = [
  ['pkcs1Private', [integer, integer, integer]],
  ['pkcs1Public', [integer, integer]],
  ['pkcs8', [integer, sequence, octetString]],
  ['sec1', [integer, octetString]],
  ['certificate', [sequence, sequence, bitString]],
  ['spki', [sequence, bitString]],
  ['encryptedPkcs8', [sequence, octetString]],
]

/** Tells by its structure alone what the bytes are, so that no key is taken for one of another kind; `undefined` for anything else. */
export function derForm(der: Uint8Array): DerForm | undefined {
  try {
    const found = readSequence(readValue(der)).map(({ tag }) => tag)
    return beginnings.find(([, beginning]) => beginning.every((tag, at) => found[at] === tag))?.[0]
  } catch {
    return undefined
  }
}

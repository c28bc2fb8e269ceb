import { CryptoError } from './errors.ts'
import { fromBase64 } from './bytes.ts'
import { invalid } from './options.ts'
import { maxSourceBytes } from './key-source.ts'

/** One block of a PEM text (RFC 7468). */
export interface PemBlock {
  readonly label: string
  /** The decoded content; for a traditionally encrypted key still encrypted. */
  readonly bytes: Buffer
  /** The block as it stands, for the runtime to decode. */
  readonly text: string
  /** True if the block has the headers of the traditional encryption (RFC 1421). */
  readonly hasHeaders: boolean
}

// A private key, a chain or a trust store; the largest known public trust store has about 150 certificates.
const maxBlocks = 4096

/**
 * Splits a PEM text into its blocks. What stands between blocks is ignored, as RFC 7468 section 2 allows and tools
 * write it; a block without its end, with another end or with content that is not base64 is
 * `ERR_CRYPTO_PEM_MALFORMED`, so that a half-written file is never taken for a shorter one.
 */
export function pemBlocks(pem: string | Uint8Array): PemBlock[] {
  const text = typeof pem === 'string' ? pem : pem instanceof Uint8Array ? Buffer.from(pem).toString('latin1') : undefined
  if (text === undefined) throw invalid('A PEM source is a text or the bytes of one.')
  if (text.length > maxSourceBytes)
    throw new CryptoError('ERR_CRYPTO_INPUT_TOO_LARGE', `A PEM text is larger than ${maxSourceBytes} characters.`)
  const blocks: PemBlock[] = []
  let label: string | undefined
  let lines: string[] = []
  for (const line of text.split(/\r\n|\n|\r/)) {
    const boundary = /^-----(BEGIN|END) ([A-Z0-9 #]{1,64})-----[ \t]*$/.exec(line)
    if (boundary === null) {
      if (line.includes('-----BEGIN ') || line.includes('-----END ')) throw malformed('has a boundary line that cannot be read')
      if (label !== undefined) lines.push(line)
    } else if (boundary[1] === 'BEGIN') {
      if (label !== undefined) throw malformed(`has a block ${label} without its end`)
      label = boundary[2]
      lines = []
    } else {
      if (label === undefined || boundary[2] !== label) throw malformed('has an end line without its beginning')
      if (blocks.length === maxBlocks) throw new CryptoError('ERR_CRYPTO_INPUT_TOO_LARGE', `A PEM text has more than ${maxBlocks} blocks.`)
      blocks.push(block(label, lines))
      label = undefined
    }
  }
  if (label !== undefined) throw malformed(`has a block ${label} without its end`)
  return blocks
}

function block(label: string, lines: readonly string[]): PemBlock {
  const hasHeaders = lines.some((line) => line.includes(':'))
  const bodyAt = hasHeaders ? lines.findIndex((line) => line.trim() === '') + 1 : 0
  const bytes = fromBase64(lines.slice(bodyAt).join('').replaceAll(/[ \t]/g, ''))
  if (bytes === undefined || bytes.length === 0) throw malformed(`has a block ${label} whose content is not base64`)
  return { label, bytes, hasHeaders, text: `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n` }
}

function malformed(what: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_PEM_MALFORMED', `The PEM text ${what}.`)
}
